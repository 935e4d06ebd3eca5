# Run it from the root of the project with the Python of its virtual environment:
#
#     .venv/bin/python examples/spring_sale/make_recipients.py
#
# It writes recipients.csv next to itself, always the same bytes.
#
# For the README: "The recipient list of the example has 10,495 rows as real lists have them: 10,000 people who can be
# sent to, 350 of them a second time in another spelling, 120 rows whose number is no number, and 25 people who said no.
# The people are invented. The British, German and French numbers are of ranges that are kept free for films; the
# others only look like mobiles, so send this list to the simulator, never to WhatsApp."
"""Writes the recipient list of the spring sale example: 10,000 people in a list as messy as real ones.

Add here another kind of mess that a list should survive, and its figure in test_example_list.py.
Keep out the rules of reading a list: this script must not know them, or it could not test them.
"""

import csv
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import phonenumbers

PEOPLE: Final = 10_000
WHO_SAID_NO: Final = 25
INVALID_ROWS: Final = 120
DUPLICATES: Final = {"BR": 60, "MX": 45, "AR": 35, "GB": 130, "DE": 30, "FR": 30, "ES": 10, "IN": 10}
HEADER: Final = ("phone", "first_name", "city", "favourite_category", "opt_in")
CATEGORIES: Final = (
    "garden",
    "kitchen",
    "toys",
    "books",
    "shoes",
    "home, bath & bed",
    "sports",
    'the "new in" shelf',
    "",
)
_SEED: Final = 20_260_301


@dataclass(frozen=True, slots=True)
class Country:
    """Where people of the example live.

    Attributes:
        region: Two letters of ISO 3166.
        code: The country code.
        people: How many people live there.
        numbers: National numbers without trunk prefix; each # is any digit. The people are spread over them evenly.
        first_names: Names to draw from.
        cities: Cities to draw from.
    """

    region: str
    code: str
    people: int
    numbers: tuple[str, ...]
    first_names: tuple[str, ...]
    cities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """One invented customer; `number` is the national number in groups."""

    country: Country
    number: str
    first_name: str
    city: str
    category: str


COUNTRIES: Final = (
    Country(
        "GB",
        "44",
        3_600,
        # Ofcom, numbers for use in TV and radio drama.
        (
            "20 7946 0###",
            "113 496 0###",
            "114 496 0###",
            "116 496 0###",
            "117 496 0###",
            "118 496 0###",
            "121 496 0###",
            "131 496 0###",
            "141 496 0###",
            "151 496 0###",
            "161 496 0###",
            "191 498 0###",
        ),
        ("Olivia", "Zoë", "Harry", "Siân", "Chloé", "Amir", 'Robert "Bob"', "D'Arcy", "Priya", "Smith, Jane", " Tom "),
        ("London", "Leeds", "Kingston upon Hull, Yorkshire", "Glasgow", "St. Ives", "Caernarfon", "Bristol"),
    ),
    Country(
        "DE",
        "49",
        1_600,
        # Bundesnetzagentur, Mitteilung 148/2021: Rufnummern für Medienproduktionen.
        ("30 23125 ###", "69 90009 ###", "40 66969 ###", "221 4710 ###", "89 99998 ###"),
        ("Jürgen", "Käthe", "Anneliese", "Björn", "Groß, Uwe", "Hans-Peter", "Ayşe"),
        ("Berlin", "Köln", "München", "Frankfurt am Main", "Hamburg"),
    ),
    Country(
        "FR",
        "33",
        1_800,
        # Arcep's numbering plan: numbers for works of fiction.
        ("1 99 00 ## ##", "2 61 91 ## ##", "3 53 01 ## ##", "4 65 71 ## ##", "5 36 49 ## ##"),
        ("Élodie", "François", "Noël", "Anaïs", "Jean-Luc", "Maëlys", "Œuvrard, Guy"),
        ("Paris", "Besançon", "Saint-Étienne", "L'Haÿ-les-Roses", "Nîmes"),
    ),
    Country(
        "ES",
        "34",
        800,
        ("600 ### ###", "644 ### ###"),
        ("Begoña", "José", "Íñigo", "María del Mar", "Núria"),
        ("A Coruña", "Málaga", "Madrid", "Castelló de la Plana"),
    ),
    Country(
        "BR",
        "55",
        900,
        ("11 98### ####", "21 97### ####", "31 96### ####", "41 99### ####", "51 98### ####", "55 99### ####"),
        ("João", "Conceição", "Antônio", "Luíza", "Zé Carlos"),
        ("São Paulo", "Brasília", "Belém, PA", "Florianópolis"),
    ),
    Country(
        "MX",
        "52",
        600,
        ("55 5### ####", "33 3### ####", "81 8### ####"),
        ("Guadalupe", "Jesús", "Ximena", "Ángel"),
        ("Ciudad de México", "Mérida", "Monterrey, N.L."),
    ),
    Country(
        "AR",
        "54",
        400,
        ("9 11 5### ####", "9 351 5## ####"),
        ("Martín", "Lucía", "Nahuel", "Agustín"),
        ("Buenos Aires", "Córdoba", "Tucumán"),
    ),
    Country(
        "IN",
        "91",
        325,
        ("98### #####", "99### #####"),
        ("Aarav", "Śrī", "Lakshmi", "Zoya"),
        ("Mumbai", "Bengaluru", "New Delhi, Delhi"),
    ),
)

_NO_NUMBERS: Final = (
    "",
    " ",
    "n/a",
    "-",
    "unknown",
    "ask Jane",
    "jane@example.com",
    "4.42079E+11",
    "4,91302E+11",
    "020 7946",
    "0113 49",
    "+44",
    "+44 20 7946 0123 4567",
    "020 7946 0123 / 020 7946 0124",
    "+49 30 23125 000 000 000 000",
    "020 7946 O123",
    "0800 FLOWERS",
    "+44 20 7946 0123 ext. 12",
    "0113 496 0123 x7",
    "+999 555 0123",
    "0000000000",
    "+33 0 00 00 00 00",
    "00 00 00",
    "#N/A",
)


def make_list() -> bytes:
    """Makes the whole file, the same bytes each time.

    Returns:
        CSV with commas in UTF-8 with a byte order mark, as Excel saves it.
    """
    chance = random.Random(_SEED)  # noqa: S311 - the same list each time, no secret
    people = [person for country in COUNTRIES for person in _people_of(country, chance)]
    chance.shuffle(people)
    willing, unwilling = people[:PEOPLE], people[PEOPLE:]
    rows = _invalid_rows(chance)
    rows += [_row(person, _spelled_as_usual(person, chance), chance.choice(("no", "No", "NO"))) for person in unwilling]
    first = {person: _spelled_as_usual(person, chance) for person in willing}
    rows += [_row(person, spelling, chance.choice(("yes", "yes", ""))) for person, spelling in first.items()]
    for person in _seen_twice(willing, chance):
        other = [spelling for spelling in _spellings(person) if spelling != first[person]]
        rows.append(_row(person, chance.choice(other), chance.choice(("yes", ""))))
    chance.shuffle(rows)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([HEADER, *rows])
    return text.getvalue().encode("utf-8-sig")


def _people_of(country: Country, chance: random.Random) -> list[Person]:
    """Invents the people of one country, each with a number of their own."""
    people = []
    for place, pattern in enumerate(country.numbers):
        share = len(range(place, country.people, len(country.numbers)))
        digits = pattern.count("#")
        for drawn in chance.sample(range(10**digits), share):
            filled = iter(f"{drawn:0{digits}}")
            number = "".join(next(filled) if sign == "#" else sign for sign in pattern)
            if not phonenumbers.is_valid_number(phonenumbers.parse(f"+{country.code} {number}")):
                raise ValueError(f"+{country.code} {number} is no valid number: change the pattern {pattern!r}.")
            name, city = chance.choice(country.first_names), chance.choice(country.cities)
            people.append(Person(country, number, name, city, chance.choice(CATEGORIES)))
    return people


def _spellings(person: Person) -> list[str]:
    """Lists the ways in which people and programs write a number; the plain one first."""
    code, number = person.country.code, person.number
    digits = number.replace(" ", "")
    spellings = [
        f"+{code}{digits}",
        f"+{code} {number}",
        f"+{code}-{number.replace(' ', '-')}",
        f"00{code}{digits}",
        f"00 {code} {number}",
        f"(+{code}) {number.replace(' ', '.')}",
        f"'+{code}{digits}",
        f"\u202a+{code}\u00a0{number}\u202c",
        f"whatsapp:+{code}{digits}",
    ]
    return spellings + _spellings_of_the_country(person.country.region, number)


def _spellings_of_the_country(region: str, number: str) -> list[str]:
    """Lists the spellings that only one country has: national ones in Britain, and old ones elsewhere."""
    area, _, rest = number.partition(" ")
    if region == "GB":
        digits = number.replace(" ", "")
        return [f"0{number}", f"0{digits}", f"(0{area}) {rest}", f"44{digits}", f"+44 (0){number}", digits]
    if region in ("DE", "FR"):
        code = {"DE": "49", "FR": "33"}[region]
        return [f"+{code} (0){number}"]
    if region == "BR":
        return [f"+55 {area} {rest[1:]}", f"0055{area}{rest[1:].replace(' ', '')}"]
    if region == "MX":
        return [f"+52 1 {number}", f"+521{number.replace(' ', '')}"]
    if region == "AR":
        return [f"+54 {rest}"]
    return []


def _spelled_as_usual(person: Person, chance: random.Random) -> str:
    """Draws a spelling: two in five are plain, as a shop's export has them, and a Briton writes no country code."""
    spellings = _spellings(person)
    if chance.randrange(5) < 2:
        return spellings[0]
    if person.country.region == "GB" and chance.randrange(3) > 0:
        spellings = _spellings_of_the_country("GB", person.number)
    return chance.choice(spellings)


def _seen_twice(people: Sequence[Person], chance: random.Random) -> list[Person]:
    """Draws the people whom the list has twice."""
    return [
        person
        for region, count in DUPLICATES.items()
        for person in chance.sample([person for person in people if person.country.region == region], count)
    ]


def _invalid_rows(chance: random.Random) -> list[tuple[str, ...]]:
    """Makes the rows in which somebody has no number."""
    rows = []
    for place in range(INVALID_ROWS):
        country = chance.choice(COUNTRIES)
        name, city = chance.choice(country.first_names), chance.choice(country.cities)
        rows.append((_NO_NUMBERS[place % len(_NO_NUMBERS)], name, city, chance.choice(CATEGORIES), "yes"))
    return rows


def _row(person: Person, spelling: str, opt_in: str) -> tuple[str, ...]:
    return (spelling, person.first_name, person.city, person.category, opt_in)


def main() -> None:
    """Writes recipients.csv next to this script."""
    path = Path(__file__).with_name("recipients.csv")
    path.write_bytes(make_list())
    print(f"Wrote {path}.")


if __name__ == "__main__":
    main()
