"""Profiles, tokens and answers of services, for identities that stand on other identities."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.buckets.credential_service import SECRET, CredentialService

FUTURE = "2036-01-01T00:00:00Z"
FUTURE_SECONDS = 2082758400.0
ROLE = "arn:aws:iam::123456789012:role/reader"
SSO = """[profile dev]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Reader
[sso-session corp]
sso_start_url = https://corp.example/start
sso_region = eu-west-1
[profile old]
sso_start_url = https://corp.example/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = Reader
[profile on-top]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = dev
"""
CHAIN = """[profile base]
aws_access_key_id = BASE
aws_secret_access_key = hush-hush-hush
[profile middle]
role_arn = arn:aws:iam::123456789012:role/middle
source_profile = base
[profile top]
role_arn = arn:aws:iam::123456789012:role/top
source_profile = middle
role_session_name = on-top
[profile around]
role_arn = arn:aws:iam::123456789012:role/around
credential_source = Environment
[profile code]
role_arn = arn:aws:iam::123456789012:role/code
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile circle]
role_arn = arn:aws:iam::123456789012:role/circle
source_profile = circle2
[profile circle2]
role_arn = arn:aws:iam::123456789012:role/circle
source_profile = circle
[profile nothing]
role_arn = arn:aws:iam::123456789012:role/nothing
source_profile = nobody
"""


def sign_on(home: Path, key: str, **more: str) -> Path:
    """What ``aws sso login`` leaves: a token in a file that has the name's digest as its name."""
    folder = home / ".aws" / "sso" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha1(key.encode()).hexdigest()}.json"
    start = "https://corp.example/start"
    told = {"startUrl": start, "region": "eu-west-1", "accessToken": SECRET, "expiresAt": FUTURE}
    path.write_text(json.dumps(told | more))
    return path


def give_role_credentials(service: CredentialService, name: str = "SSO") -> None:
    told = {"accessKeyId": name, "secretAccessKey": "s", "sessionToken": "t"}
    told["expiration"] = int(FUTURE_SECONDS * 1000)  # type: ignore[assignment]
    service.answers["/federation/credentials"] = (200, json.dumps({"roleCredentials": told}))


def role_answer(name: str, verb: str = "AssumeRole") -> str:
    return (
        f'<{verb}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{verb}Result>'
        f"<Credentials><AccessKeyId>{name}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        f"<SessionToken>t</SessionToken><Expiration>{FUTURE}</Expiration></Credentials>"
        f"</{verb}Result></{verb}Response>"
    )


def external_account(service: CredentialService, token: Path, **more: object) -> str:
    info: dict[str, object] = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{service.endpoint}/sts",
        "credential_source": {"file": str(token)},
    }
    return json.dumps(info | more)
