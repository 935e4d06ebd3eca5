"""The house stands as it was drawn: imports point downwards, rooms explain themselves, loading it touches nothing."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import campaign_pipeline

HOUSE = Path(campaign_pipeline.__file__).parent
NAME = campaign_pipeline.__name__

ROOMS = (
    "definitions",
    "orchestration",
    "interfaces",
    "sending",
    "delivery",
    "recipients",
    "campaigns",
    "whatsapp",
    "ledger",
)
"""From the top to the bottom: a room imports only from rooms below it."""

SETTINGS_ARE_READ_BY = {"definitions", "orchestration", "interfaces"}
SIMULATOR = f"{NAME}.whatsapp.simulator"
WITH_DAGSTER = {"definitions", "orchestration"}
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base"}

MODULES = sorted(HOUSE.rglob("*.py"))


def _module_name(path: Path) -> str:
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room_of(module: str) -> str:
    """The room of a module: ``campaign_pipeline.ledger.engine`` → ``ledger``; the house itself has an empty name."""
    return [*module.split("."), ""][1]


def _imports(path: Path) -> Iterator[str]:
    """Everything that a module imports anywhere in it, each name in full; imports for type checkers count too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name what they import in full"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imports_of_the_house(path: Path) -> set[str]:
    return {name for name in _imports(path) if name.split(".")[0] == NAME}


def _runs_at_import(path: Path) -> Iterator[ast.AST]:
    """The parts of a module that run when it is imported: no bodies of functions, nothing for type checkers."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))


def _packages_loaded_with(path: Path) -> set[str]:
    """The outermost names of what a module imports when it is imported itself."""
    found: set[str] = set()
    for node in _runs_at_import(path):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def _offences(rule: dict[str, list[str]]) -> dict[str, list[str]]:
    return {module: sorted(names) for module, names in rule.items() if names}


def test_every_room_of_the_house_is_known() -> None:
    """A new room stands nowhere in the order, and nobody checks what it imports."""
    rooms = {path.relative_to(HOUSE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms == {*ROOMS, "settings", "__init__"}


def test_imports_point_downwards_and_never_back_up() -> None:
    """A rule that asks the one who calls it cannot be tried, read or changed by itself."""
    upwards: dict[str, list[str]] = {}
    for path in MODULES:
        module = _module_name(path)
        room = _room_of(module)
        if room in ROOMS:
            below = {room, *ROOMS[ROOMS.index(room) + 1 :]} | ({"settings"} if room in SETTINGS_ARE_READ_BY else set())
        elif room == "settings":
            below = {"settings", *ROOMS[ROOMS.index("interfaces") + 1 :]}
        else:
            below = set()
        upwards[module] = [name for name in _imports_of_the_house(path) if _room_of(name) not in below]
    assert _offences(upwards) == {}


def test_the_rooms_at_the_bottom_stand_by_themselves() -> None:
    """The client of the Cloud API and the tables must be usable without anything else of the house."""
    outside: dict[str, list[str]] = {}
    for path in MODULES:
        module = _module_name(path)
        if _room_of(module) in ("whatsapp", "ledger"):
            own = {_room_of(module)}
            outside[module] = [name for name in _imports_of_the_house(path) if _room_of(name) not in own]
    assert _offences(outside) == {}


def test_only_the_interfaces_know_the_simulator() -> None:
    """Sending code that knows it is talking to a simulator proves nothing about Meta."""
    offenders: dict[str, list[str]] = {}
    for path in MODULES:
        module = _module_name(path)
        if _room_of(module) != "interfaces" and not f"{module}.".startswith(f"{SIMULATOR}."):
            names = _imports_of_the_house(path)
            offenders[module] = [name for name in names if f"{name}.".startswith(f"{SIMULATOR}.")]
    assert _offences(offenders) == {}


def test_only_the_front_door_and_orchestration_import_dagster() -> None:
    """The command line starts in half a second, and the ledger outlives the orchestrator."""
    offenders = [
        _module_name(path)
        for path in MODULES
        if _room_of(_module_name(path)) not in WITH_DAGSTER
        and any(name.split(".")[0].startswith("dagster") for name in _imports(path))
    ]
    assert offenders == []


def test_pandas_is_not_loaded_with_any_room_below_orchestration() -> None:
    """It takes longer to load than most commands run."""
    offenders = [
        _module_name(path)
        for path in MODULES
        if _room_of(_module_name(path)) not in WITH_DAGSTER and "pandas" in _packages_loaded_with(path)
    ]
    assert offenders == []


@pytest.mark.parametrize("path", MODULES, ids=_module_name)
def test_every_module_says_what_lives_here(path: Path) -> None:
    """Whoever adds something has to find out where it belongs without reading everything."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring is not None
    assert docstring.splitlines()[0].endswith((".", "?", ":"))


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without `__init__.py` is left out of the wheel, and works until it is installed."""
    folders = {path.parent for path in MODULES if path.parent.name not in ("migrations", "versions")}
    assert sorted(str(folder) for folder in folders if not (folder / "__init__.py").is_file()) == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    """Into `utils` goes whatever nobody has thought about."""
    words = {path: set(path.stem.split("_")) | set(path.relative_to(HOUSE).parts[:-1]) for path in MODULES}
    assert [str(path) for path, said in words.items() if said & NAMES_THAT_SAY_NOTHING] == []


WATCHED_IMPORT = """
import json, os, sys

seen = []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "os.mkdir"):
        seen.append([event, repr(arguments)])
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes and arguments[0] != os.devnull:
        seen.append([event, repr(arguments[0])])

sys.addaudithook(watch)
import campaign_pipeline.definitions
sys.stdout.write(json.dumps({"seen": seen, "modules": sorted(sys.modules)}))
"""


def test_importing_the_front_door_writes_nothing_and_connects_to_nothing(tmp_path: Path) -> None:
    """Dagster imports it every few seconds, in processes of its own: a ledger made there would be made anywhere."""
    home = tmp_path / "home"
    work = tmp_path / "work"
    home.mkdir()
    work.mkdir()
    ours = ("CAMPAIGN_", "WHATSAPP_", "WEBHOOK_", "DAGSTER_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # A wrong setting must not matter before somebody asks for the definitions.
    environment |= {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "CAMPAIGN_SENDER_LIMIT": "not read"}
    environment["PYTHONPATH"] = str(HOUSE.parent)
    finished = subprocess.run(
        [sys.executable, "-c", WATCHED_IMPORT],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    told = json.loads(finished.stdout)
    assert told["seen"] == []
    assert "campaign_pipeline.orchestration.build" in told["modules"]
    assert list(work.iterdir()) == []
    assert list(home.iterdir()) == []
