"""How an installation takes Meta's words about its account.

Keep out what is done about them: `account_events`. Settings import this module, and should not load the rest.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """How an installation takes Meta's words.

    Attributes:
        business_account_id: Whose words count; None takes every account's that the receiver gets.
        limit_setting: The limit of the settings.
        limit_ceiling: The most that Meta may raise it to; None is what the settings or a person have set last.
        resumes_unpaused: Whether campaigns go on by themselves once Meta has unpaused their template.
    """

    business_account_id: str | None
    limit_setting: int
    limit_ceiling: int | None
    resumes_unpaused: bool = True
