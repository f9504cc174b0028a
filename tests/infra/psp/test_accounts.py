from pathlib import Path

import pytest

from aggregates.routing.accounts import PspAccount
from aggregates.routing.retries import RetryPolicy
from aggregates.routing.route import Route
from gateways.contract import Credentials
from infra.errors import Misconfigured
from infra.psp.accounts import Accounts, credentials, webhook_accounts

EU = """
[accounts.sim-eu]
gateway = "stripe"
base_url = "https://api.stripe.com/"
secret_file = "sim-eu.key"
"""
US = """
[accounts.sim-us]
gateway = "stripe"
base_url = "https://api.stripe.com"
secret_file = "sim-us.key"
multicapture = true
overcapture_percent = 15
"""
BOTH = '[merchants.shop]\naccounts = ["sim-us", "sim-eu"]\n' + EU + US
PAYPAL = """
[merchants.shop]
accounts = ["pp"]
[accounts.pp]
gateway = "paypal"
base_url = "https://api-m.paypal.com"
secret_file = "sim-eu.key"
[accounts.pp.options]
client_id = "client"
webhook_id = "hook"
"""
SECRET = "sk_test_neverToBeShown"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for name in ("sim-eu", "sim-us"):
        (tmp_path / f"{name}.key").write_text(f"{SECRET}{name}\n")
    return tmp_path / "accounts.toml"


def load(file: Path, content: str) -> Accounts:
    """As a gateway worker and a command worker read it."""
    file.write_text(content)
    credentials("stripe", file)
    return Accounts.load(file)


def test_a_merchants_accounts_stand_in_the_order_of_its_list_with_what_adapter_and_contract_declare(
    file: Path,
):
    route = load(file, BOTH).for_payment("shop", "EUR", "pm_card_visa")

    week_s, key_s = 7 * 86_400, 23 * 3600
    assert route == Route(
        (
            PspAccount("stripe", "sim-us", key_s, week_s, True, 15, "psp"),
            PspAccount("stripe", "sim-eu", key_s, week_s, False, 0, "psp"),
        ),
        RetryPolicy(),
    )


@pytest.mark.parametrize(
    ("option", "taken"), [("", False), ('takes_ugx = "false"', False), ('takes_ugx = "true"', True)]
)
def test_a_currency_that_has_to_be_switched_on_goes_to_no_account_without_its_option(
    file: Path, option: str, taken: bool
):
    route = load(file, f"{BOTH}[accounts.sim-us.options]\n{option}\n").for_payment(
        "shop", "UGX", "pm_card_visa"
    )

    assert [psp.account for psp in route.accounts] == (["sim-us"] if taken else [])


def test_a_merchant_may_be_tried_differently(file: Path):
    retry = "[merchants.shop.retry]\nattempts_max = 5\nfirst_s = 1\nfactor = 3\nmax_s = 12.5\n"

    policy = load(file, BOTH + retry).for_payment("shop", "EUR", "pm_card_visa").retry

    assert policy == RetryPolicy(attempts_max=5, first_s=1.0, factor=3.0, max_s=12.5)


def test_what_a_merchant_does_not_say_of_retries_is_the_default(file: Path):
    policy = (
        load(file, BOTH + "[merchants.shop.retry]\nattempts_max = 1\n")
        .for_payment("shop", "EUR", "pm_card_visa")
        .retry
    )

    assert policy == RetryPolicy(attempts_max=1)


def test_a_merchant_that_is_not_known_has_no_account_and_the_default_retries(file: Path):
    route = load(file, BOTH).for_payment("nobody", "EUR", "pm_card_visa")

    assert (route.accounts, route.retry) == ((), RetryPolicy())
    assert route.none_because.startswith("no PSP account is set up for merchant nobody: ")


@pytest.mark.parametrize(
    ("currency", "token", "reasons"),
    [
        ("XTS", "pm_card_visa", "sim-us does not take XTS; sim-eu does not take XTS"),
        (
            "EUR",
            "adyen:8415",
            "; ".join(
                f"{one} is at stripe, and the payment_method is a token of adyen"
                for one in ("sim-us", "sim-eu")
            ),
        ),
    ],
)
def test_where_no_account_of_a_merchant_takes_a_payment_each_is_named_with_the_reason(
    file: Path, currency: str, token: str, reasons: str
):
    route = load(file, BOTH).for_payment("shop", currency, token)

    assert route.accounts == ()
    assert route.none_because == f"none of merchant shop's PSP accounts takes this payment: {reasons}"


def test_only_a_gateways_own_worker_reads_its_secrets(file: Path):
    file.write_text(BOTH + "calls_max = 7\n")

    known, files = credentials("stripe", file)

    assert known["sim-eu"] == Credentials("https://api.stripe.com", f"{SECRET}sim-eu")
    assert known["sim-us"].calls_max == 7
    assert files == {file, file.parent / "sim-eu.key", file.parent / "sim-us.key"}
    assert SECRET not in repr(known)
    (file.parent / "sim-eu.key").unlink()
    assert credentials("till", file) == ({}, frozenset({file}))
    Accounts.load(file)


def test_a_secret_may_be_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch):
    file.write_text(BOTH.replace('secret_file = "sim-eu.key"', 'secret_env = "STRIPE_EU"'))

    with pytest.raises(Misconfigured, match="STRIPE_EU in the environment is empty"):
        credentials("stripe", file)
    monkeypatch.setenv("STRIPE_EU", SECRET)

    assert credentials("stripe", file)[0]["sim-eu"].secret == SECRET


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "is not TOML"),
        ("merchants = 7", "merchants"),
        (BOTH.replace('"stripe"', '"strip"'), "no gateway is called strip; known: stripe"),
        (BOTH.replace('"sim-eu"]', '"sim-xx"]'), "merchant shop: there is no account sim-xx"),
        (BOTH.replace('"sim-eu"]', '"sim-us"]'), "merchant shop: an account stands in its list twice"),
        (BOTH.replace("sim-us.key", "gone.key"), "cannot be read"),
        (BOTH.replace("sim-us.key", "gone.key") + "secret_env = 'A'\n", "either secret_file or secret_env"),
        (BOTH + "currencies = ['XTS']\n", "account sim-us: Stripe takes no XTS"),
        (BOTH + "[accounts.sim-us.options]\nhat = 'red'\n", "Stripe has no option hat; known: takes_ugx"),
        (
            BOTH + "currencies = ['EUR', 'UGX']\n",
            'account sim-us: Stripe takes UGX with options.takes_ugx = "true" only',
        ),
        (BOTH.replace("true", "1"), "accounts.sim-us.multicapture"),
        (BOTH.replace("15", "101"), "accounts.sim-us.overcapture_percent"),
        (BOTH.replace("15", "-1"), "accounts.sim-us.overcapture_percent"),
        (BOTH.replace("15", "true"), "accounts.sim-us.overcapture_percent"),
        (BOTH.replace("15", "1.5"), "accounts.sim-us.overcapture_percent"),
        (BOTH.replace("multicapture", "multi_capture"), "accounts.sim-us.multi_capture"),
        *(
            (f"{BOTH}[merchants.shop.retry]\n{line}\n", f"merchants.shop.retry{place}")
            for line, place in (
                ("attempts_max = 0", ".attempts_max"),
                ("attempts_max = 11", ".attempts_max"),
                ("attempts_max = 2.0", ".attempts_max"),
                ("first_s = 0", ".first_s"),
                ("first_s = nan", ".first_s"),
                ("first_s = true", ".first_s"),
                ("factor = 0.5", ".factor"),
                ("factor = inf", ".factor"),
                ("max_s = 3601", ".max_s"),
                ("max_s = 0.5", ": max_s is less than first_s"),
                ("jitter = 1", ".jitter"),
            )
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_shows_no_secret(file: Path, content: str, message: str):
    with pytest.raises(Misconfigured) as refused:
        load(file, content)

    assert message in str(refused.value)
    assert str(file) in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_secret_that_is_no_text_is_named_by_its_file_only(file: Path):
    (file.parent / "sim-eu.key").write_bytes(b"\xff\xfe")

    with pytest.raises(Misconfigured, match="is not text in UTF-8"):
        load(file, BOTH)


def test_what_takes_webhooks_is_read_without_the_secrets_of_the_calls(tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text(BOTH.replace(US, US + 'webhook_secret_files = ["new.key", "old.key"]\n'))
    (tmp_path / "new.key").write_text("whsec_new\n")
    (tmp_path / "old.key").write_text("whsec_old\n")

    taking, files = webhook_accounts(file)

    assert taking.keys() == {"sim-us"}
    assert taking["sim-us"].keys.secrets == ("whsec_new", "whsec_old")
    assert files == {file, tmp_path / "new.key", tmp_path / "old.key"}
    assert "whsec" not in repr(taking)


def test_an_account_of_a_psp_that_shares_no_secret_takes_webhooks_with_an_empty_list(tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text(BOTH.replace(US, US + "webhook_secret_files = []\n"))

    taking, _ = webhook_accounts(file)

    assert {name: account.keys.secrets for name, account in taking.items()} == {"sim-us": ()}


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ('["a.key", "a.key", "a.key"]', "webhook_secret_files"),
        ('["absent.key"]', "cannot be read"),
        ('["empty.key"]', "shorter than any PSP's"),
    ],
)
def test_a_webhook_secret_that_cannot_be_one_is_refused(named: str, why: str, tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text(BOTH.replace(US, US + f"webhook_secret_files = {named}\n"))
    (tmp_path / "a.key").write_text("whsec_long_enough")
    (tmp_path / "empty.key").write_text("\n")

    with pytest.raises(Misconfigured, match=why):
        webhook_accounts(file)


@pytest.mark.parametrize("token", ["adyn:8416", "Adyen:8416", ":8416", "pm:card:visa", "card:8kk8451t"])
def test_a_colon_behind_no_psps_name_is_answered_with_the_names(file: Path, token: str):
    remedy = load(file, BOTH).stray_prefix("shop", token)

    assert remedy is not None
    for name in ("stripe:…", "adyen:…", "paypal:…", "braintree:…", "razorpay:…"):
        assert name in remedy


@pytest.mark.parametrize(
    "token", ["pm_card_visa", "stripe:pm_card_visa", "adyen:8416", "paypal:card:8kk8451t"]
)
def test_a_token_without_a_colon_or_behind_a_psps_name_needs_no_remedy(file: Path, token: str):
    assert load(file, BOTH).stray_prefix("shop", token) is None


# PayPal's own writing (gateways/paypal/requests.py): what its vault id is of, a colon, the id.
def test_a_colon_in_a_token_of_the_merchants_first_psp_is_the_psps(file: Path):
    accounts = load(file, PAYPAL)

    assert accounts.stray_prefix("shop", "card:8kk8451t") is None
    assert accounts.stray_prefix("shop", "crad:8kk8451t") is not None


def test_a_token_reaches_the_accounts_of_its_gateway_and_of_its_currency_only(file: Path):
    accounts = load(file, BOTH)

    def names(currency: str, token: str) -> list[str]:
        return [psp.account for psp in accounts.for_payment("shop", currency, token).accounts]

    everywhere = names("EUR", "pm_card_visa")
    assert everywhere == names("EUR", "stripe:pm_card_visa") != []
    assert names("XTS", "pm_card_visa") == []


ADYEN = """
[merchants.demo]
accounts = []
[accounts.ady]
gateway = "adyen"
base_url = "https://checkout-test.adyen.com"
secret_file = "never-there.key"
webhook_secret_files = ["hmac.key"]
options = { merchant_account = "Shop" }
"""


def test_two_log_ins_of_a_psps_webhooks_may_be_exchanged(tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text(ADYEN.replace("options", 'webhook_login_files = ["new.login", "old.login"]\noptions'))
    (tmp_path / "hmac.key").write_text("0" * 64)
    (tmp_path / "new.login").write_text("shop:the new password\n")
    (tmp_path / "old.login").write_text("shop:the old password\n")

    taking, files = webhook_accounts(file)

    assert taking["ady"].keys.logins == ("shop:the new password", "shop:the old password")
    assert {tmp_path / "new.login", tmp_path / "old.login"} <= files
    assert "password" not in repr(taking["ady"])


@pytest.mark.parametrize("login", ["", "shop", "shop:", "shop:short", ":a long password"])
def test_a_log_in_that_anybody_guesses_is_refused_and_not_quoted(login: str, tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text(ADYEN.replace("options", 'webhook_login_files = ["a.login"]\noptions'))
    (tmp_path / "hmac.key").write_text("0" * 64)
    (tmp_path / "a.login").write_text(login)

    with pytest.raises(Misconfigured, match="user:password") as refused:
        webhook_accounts(file)
    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            ADYEN.replace('webhook_secret_files = ["hmac.key"]', 'webhook_login_files = ["a.login"]'),
            "without",
        ),
        (
            BOTH.replace(US, US + 'webhook_secret_files = []\nwebhook_login_files = ["a.login"]\n'),
            "sends no user",
        ),
    ],
)
def test_a_log_in_that_would_not_be_looked_at_is_refused(text: str, why: str, tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text(text)
    (tmp_path / "a.login").write_text("shop:a long password")

    with pytest.raises(Misconfigured, match=why):
        webhook_accounts(file)
