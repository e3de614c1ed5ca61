"""What claviger-vault(5) says of the descriptions in a vault: which of them this version of the format has written.

A description is a JSON object. One that a program would not write back as it stands is from a newer version.
"""

import json
import re

# Scheme, host and port; then a path and a query of any printable characters but the number sign.
ADDRESS = re.compile(
    r"(https?)://(\[[a-z0-9.:]+\]|[a-z0-9._-]+)(?::([0-9]*))?(?:[/?][\x21\x22\x24-\x7e]*)?", re.ASCII | re.IGNORECASE)
LOOPBACK = re.compile(r"(.*\.)?localhost|\[::1\]|127(\.(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])){3}")
NEWER = "newer"
DAMAGED = "damaged"


def parse(description):
    """The JSON object, or None."""

    def refuse(_):
        raise ValueError

    def number(text):
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError
        return value

    try:
        value = json.loads(description.decode(), parse_constant=refuse, parse_float=number)
        # Half of a surrogate pair is no text.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and description.startswith(b"{") else None


def canonical(value):
    """As the page says: no white space, members in ascending order, slashes not escaped."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# --- Shapes: functions that say whether a value has them.


def text(value):
    return isinstance(value, str)


def true_or_false(value):
    return isinstance(value, bool)


def integer(value):
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def natural(bits):
    return lambda value: integer_of(value) and 0 <= value < 2**bits


def integer_of(value):
    return isinstance(value, int) and not isinstance(value, bool)


def one_of(*words):
    return lambda value: text(value) and value in words


def array(shape):
    return lambda value: isinstance(value, list) and all(shape(element) for element in value)


def once_each(shape):
    return lambda value: array(shape)(value) and len(set(value)) == len(value)


def members(**shapes):
    """An object of exactly these members; one whose name here ends in _ may be missing."""
    required = {name: shape for name, shape in shapes.items() if not name.endswith("_")}
    optional = {name[:-1]: shape for name, shape in shapes.items() if name.endswith("_")}

    def fits(value):
        return (
            isinstance(value, dict)
            and required.keys() <= value.keys() <= required.keys() | optional.keys()
            and all((required | optional)[name](member) for name, member in value.items())
        )

    return fits


def address(value):
    parts = ADDRESS.fullmatch(value) if text(value) else None
    if not parts:
        return False
    scheme, host, port = (part.lower() if part else part for part in parts.groups())
    if port and not 1 <= int(port) <= 65535:
        return False
    return scheme == "https" or LOOPBACK.fullmatch(host) is not None


def grace(value):
    return value == "until_successor_is_used" or integer(value) and 0 <= value <= 31_536_000


def pointer(value):
    return text(value) and re.fullmatch(r"(/([^~/]|~[01])*)*", value) is not None


def condition(value):
    place, equals, values = value.partition("=") if text(value) else ("", "", "")
    return place != "" and pointer(place) and equals != "" and values.strip(",") != ""


def word(value):
    return text(value) and value.strip() != ""


def presentation(value):
    name = r"[A-Za-z0-9._-]+"
    form = rf"\?{name}=\{{token\}}|{name}:[ -~]*\{{token\}}[ -~]*"
    return text(value) and value.count("{token}") == 1 and re.fullmatch(form, value) is not None


def names(value):
    return isinstance(value, dict) and all(text(name) for name in [*value.keys(), *value.values()])


def either(*shapes):
    return lambda value: any(shape(value) for shape in shapes)


PARAMETERS = array(members(name=text, value=text))
EXCHANGED = members(source=either(members(credential=members(name=text)), members(file=members(path=text))), type=text)
CLIENT_AUTHENTICATION = one_of(
    "basic", "basic_raw", "bearer_jwt", "client_secret_jwt", "none", "post", "private_key_jwt", "tls")  # fmt: skip
METHOD, PLACEMENT = one_of("GET", "POST"), one_of("body", "json", "query")
ANSWER = members(
    access_token_=pointer, client_refused_=array(word), error_=pointer, expires_at_=pointer, expires_in_=pointer,
    id_token_=pointer, login_ended_=array(word), refresh_token_=pointer, scope_=pointer, success_=condition,
    token_type_=pointer, try_again_=array(word))  # fmt: skip
ASSERTION = members(
    algorithm_=one_of("ES256", "ES384", "ES512", "EdDSA", "PS256", "RS256"), audience_=text,
    claims_=lambda value: isinstance(value, dict), issuer_=text, lifetime_=integer, subject_=text, type_=text)  # fmt: skip
REFRESH = members(
    client_authentication_=CLIENT_AUTHENTICATION, method_=METHOD, parameter_names_=names, parameters_=PARAMETERS,
    placement_=PLACEMENT, scopes_=true_or_false, url_=address)  # fmt: skip
SETTINGS = members(
    actor_=EXCHANGED, answer_=ANSWER, api_url_=address, assertion_=ASSERTION, audiences=array(text), authorization_parameters_=PARAMETERS,
    authorization_url_=address, certificate_authority_=text,
    client_authentication=CLIENT_AUTHENTICATION,
    device_authorization_url_=address, dpop_=true_or_false,
    grant=one_of(
        "authorization_code", "client_credentials", "device_code", "jwt_bearer", "password", "refresh_token", "token_exchange"),
    headers=PARAMETERS, introspection_url_=address, issuer_=text, key_id_=text, login_idle_=integer, login_lifetime_=integer, method_=METHOD, no_refresh_token_=true_or_false, nonce_=true_or_false,
    older_tokens_live_=true_or_false, omits_grant_type_=true_or_false, parameter_names_=names, parameters=PARAMETERS,
    pkce_=true_or_false, placement=PLACEMENT, presentation_=presentation, pushed_authorization_url_=address, redirect_uri_=text, refresh_=REFRESH, refresh_token_grace_=grace,
    refresh_token_rotates_=true_or_false, resend_=one_of("never", "once"), resources=array(text), revocation_url_=address,
    scope_separator_=text, scopes=array(text), secret_headers_=once_each(text), secret_parameters_=once_each(text),
    subject_=EXCHANGED, token_lifetime_=integer, token_url=address)  # fmt: skip
PAIR = members(client_id=text, expires_=integer, since=integer, username_=text)
LOGIN = members(
    boot_=text, ended_=integer, expires_=integer, keeps_=true_or_false, owner=text, refresh_by_=integer, renewed=integer, resent_=true_or_false,
    rotates=true_or_false, sent_last_=integer, since=integer, spending_=integer)  # fmt: skip
TOKEN = members(
    expires_=integer, rejected_=integer, requested_audiences_=array(text), requested_scopes=array(text), scopes_=array(text),
    sent=integer, type=text)  # fmt: skip
CREDENTIAL = members(
    blocked_=members(reason_=text, since=integer), forced_renewals_=array(integer), key_pair=PAIR, login_=LOGIN, previous_key_pair_=PAIR, provider_=text,
    refusal_=members(asked=integer, since_=integer, status_=integer, times=integer), refused_since_=integer,
    registration_=address, replaced_=array(TOKEN), settings=SETTINGS, staged_key_pair_=PAIR, tokens=array(TOKEN))  # fmt: skip
WHO = members(id=natural(32), name=text)
POLICY = members(
    rules=array(
        members(credential=text, longestLife_=integer, scopes_=array(text), subject=either(members(user=WHO), members(group=WHO)))
    )
)
HEAD = members(lost_=true_or_false, mac=lambda value: text(value) and len(value.encode()) == 64, sequence=natural(64))


def fits_secrets(credential, names):
    """Each secret belongs to something in the description, and what needs one has it."""
    needed, allowed = set(), set()
    for member, suffix in ("key_pair", ""), ("previous_key_pair", ".previous"), ("staged_key_pair", ".staged"):
        if member in credential:
            allowed |= {"client_secret" + suffix, "password" + suffix}
    for member, prefix in ("secret_headers", "header"), ("secret_parameters", "parameter"):
        needed |= {f"{prefix}.{index}" for index in range(len(credential["settings"].get(member, [])))}
    if credential["settings"].get("dpop"):
        needed.add("dpop_key")
    if "registration" in credential:
        needed.add("registration_token")
    if "login" in credential:
        needed.add("refresh_token")
    for member, prefix in ("tokens", "token"), ("replaced", "replaced"):
        for index in range(len(credential.get(member, []))):
            needed.add(f"{prefix}.{index}")
            allowed.add(f"{prefix}.{index}.extras")
    return needed <= set(names) <= needed | allowed


def check_credential(description, secrets):
    """None, NEWER or DAMAGED."""
    value = parse(description)
    if value is None:
        return DAMAGED
    return None if CREDENTIAL(value) and canonical(value) == description and fits_secrets(value, secrets) else NEWER


def check_policy(description, secrets):
    value = parse(description)
    if value is None:
        return DAMAGED
    return None if POLICY(value) and canonical(value) == description and not secrets else NEWER


def check_head(description, secrets):
    """A head that can't be read is no reason to refuse anything else. Members that are not known don't matter in it."""
    value = parse(description)
    if value is None:
        return DAMAGED
    known = {name: value[name] for name in ("lost", "mac", "sequence") if value.get(name) is not None}
    return None if HEAD(known) and known["sequence"] < 2**64 - 2 else DAMAGED
