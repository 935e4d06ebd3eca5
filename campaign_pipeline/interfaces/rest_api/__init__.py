"""The REST API: what other programs, and the pages to come, ask of campaigns.

One file per resource (`campaigns`, `recipients`, `daily_run` …), each with a `router` that stands in `app.ROUTERS`. How
an endpoint is added:

1. A function in the file of its resource, a plain `def` (it runs in a thread, so it may wait for the ledger), declared
   with `@look(router, path)` for a GET or `@act(router, path)` for a POST from `endpoint`. These two check the caller's
   role before a body is read, bound the body, keep answers by their Idempotency-Key, and document every refusal;
   `refusals` names what this endpoint says besides, as examples by status. A look for a phone number is a POST too:
   `@inquire(router, path)`, whose answers are not kept.
2. What it needs comes as arguments: `place: Place` (settings, ledger, clock), `by: By` (who calls: `by.actor` for the
   audit log, `by.sees_numbers` for masking phone numbers with `shown_number` and `without_numbers`), `campaign:
   CampaignReference` (id or slug), a body that is a model of the kind `Asked`, and `Annotated[..., Query()]` with
   another one. Models of requests are strict and refuse what they do not know; their texts are `Line`, their numbers
   `WholeNumber`, their dates `Date`, pages end in a `Cursor` (`shapes`).
3. Its answer is a model of the kind `Told` (`response_model`), with the keys that `campaign ... --json` prints: where
   both give the same, the document is made in `interfaces.documents`. A file of many rows is `files.answer_file`
   of a GET.
4. Errors of the rooms become problem documents by themselves (`problems`); raise `Problem` only for what is about HTTP.
   `CampaignStateError` is a 409, any other `CampaignError` a 422.
5. An act can be asked for twice: the second time changes nothing and gives the same answer.
6. `campaign_pipeline_tests/interfaces/rest_api/test_contract.py` finds it by itself and asks everything of it; its
   SQL, if it is a new function of a room, is asked in `ledger/running_campaign.py` too.

Rules live in the rooms below, phone numbers never in an address or a log.
Keep out dagster, pandas, and SQL except that of the tables `api_*`.
"""
