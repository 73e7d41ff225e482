"""What schemathesis is told beside the document: what there is to ask about, and what it must leave as it was."""

import datetime
import json
import os
import re
import uuid

import requests
import schemathesis

# By operationId: values of parameters that exist. What is asked for by a made-up id is a 404, and nothing more is learned.
PREPARED = json.loads(os.environ["FANFOLD_PREPARED"])

# What shows the server who asks.
AUTHORIZATION = os.environ["FANFOLD_AUTHORIZATION"]

# One line for each answer; the command reads it afterwards.
SEEN = open(os.environ["FANFOLD_SEEN"], "a", buffering=1, encoding="utf-8")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    close(raw_schema["components"]["schemas"])
    for item in raw_schema["paths"].values():
        for operation in item.values():
            known = PREPARED.get(operation["operationId"], {})
            for parameter in operation["parameters"]:
                for number, value in enumerate(known.get(parameter["name"], [])):
                    parameter.setdefault("examples", {})[f"prepared-{number}"] = {"value": value}


def close(schemas):
    """Answers are taken as they are described, and nothing more: clients let pass what they do not know, and a test does not."""
    opened = set()

    def walk(schema, visit):
        if isinstance(schema, dict):
            visit(schema)
            for name, value in schema.items():
                if name not in ("enum", "const", "examples", "required"):
                    walk(value, visit)
        elif isinstance(schema, list):
            for value in schema:
                walk(value, visit)

    def find(schema):
        # What stands beside members of another schema has these as well.
        if "$ref" in schema and "properties" in schema:
            opened.add(schema["$ref"].rsplit("/", 1)[1])

    def shut(schema):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("unevaluatedProperties", False)

    walk(schemas, find)
    for name, schema in schemas.items():
        if name not in opened:
            walk(schema, shut)


@schemathesis.hook
def after_call(context, case, response):
    label = case.operation.label
    SEEN.write(json.dumps([label, case.method.upper(), response.status_code]) + "\n")
    # A server that drains accepts nothing, and the other paths would not be reached any more.
    if label == "POST /api/v1/drain" and response.status_code == 200:
        resume = response.request.url.split("/api/")[0] + "/api/v1/resume"
        requests.post(resume, headers={"Authorization": AUTHORIZATION}, timeout=10).raise_for_status()


# What chooses operations, where all of a query does so.
CHOOSE = {"cancelOperations", "retryOperations"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Says what no schema can say, and leaves out what only costs time or depends on what was sent before.

    What breaks the schema is sent as it is.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    query, headers = case.query or {}, case.headers or {}
    # Nothing more is seen after minutes than after a moment.
    if "wait" in query:
        query["wait"] = "10ms"
    if "Prefer" in headers:
        headers["Prefer"] = re.sub(r"wait=\d+", "wait=0", str(headers["Prefer"]))
    # Which addresses may be told is configured, and names of hosts are not to be looked up here.
    if "notification_address" in query:
        query["notification_address"] = "127.0.0.1"
    if "Fanfold-Callback-Url" in headers:
        headers["Fanfold-Callback-Url"] = "http://127.0.0.1:9/nobody"
    # One of these two needs the other.
    pair = {"notification_address", "notification_port"}
    if not pair <= query.keys():
        for name in pair & query.keys():
            del query[name]
    # The same key for another request is refused (422), as it should be.
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = str(uuid.uuid4())
    # At the most 366 days ahead, of what is now.
    now = datetime.datetime.now(datetime.timezone.utc)
    if str(headers.get("Fanfold-Start-At", "0"))[:4] >= str(now.year):
        headers["Fanfold-Start-At"] = (now + datetime.timedelta(hours=1)).isoformat()
    if case.operation.definition.raw["operationId"] in CHOOSE:
        choose(case)


def choose(case):
    """The query chooses, or the body says `all`: one of them, and not both."""
    says_all = isinstance(case.body, dict) and case.body.get("all") is True
    chooses = any(name != "page_token" for name in case.query or {})
    if chooses and says_all:
        case.body = {name: value for name, value in case.body.items() if name != "all"}
    elif not chooses and not says_all:
        case.query = {**(case.query or {}), "text": "nothing has this in it"}
