"""Security codes: found under each of their names and beside each word for one."""

import random

import pytest

from commands.card_data import holds_card_data, sensitive_path

RANDOM = random.Random(917)

CODE_NAMES = [
    "cvv",
    "cvc",
    "cvv2",
    "cvc2",
    "CVV",
    "card_cvc",
    "card.cvc",
    "card-cvv",
    "cvvCode",
    "ccv",
    "cryptogram",
    "cvv1",
    "c.v.v",
    "C V V",
]
CODE_NAMES += [
    "cvn",
    "csc",
    "cid",
    "card_cid",
    "cardCsc",
    "verification_value",
    "verificationValue",
    "verification-code",
]
CODE_NAMES += [
    "security_code",
    "cardSecurityCode",
    "card_code",
    "\uff43\uff56\uff56",
    "card[cvc]",
    "x_card_cvv_x",
    "cvd",
]


CODE_NAMES += ["cv2", "CV2", "card_cv2", "cardCv2", "cvm", "vcode", "vCode", "securityNumber", "%63vv"]
CODE_NAMES += ["pvv", "card_verification", "cardVerification"]
# Adyen's Web components 5.72.0 and Braintree's drop-in 1.48.0 (npm) call the field so.
CODE_NAMES += [
    "Kartenpr\u00fcfnummer",
    "kartenpruefnummer",
    "Pr\u00fcfziffer",
    "sicherheitscode",
    "Sicherheitscode (optional)",
    "cryptogramme_visuel",
    "Code de s\u00e9curit\u00e9",
    "code_de_securite",
    "C\u00f3digo de seguridad",
    "codigoDeSeguridad",
    "C\u00f3digo de seguran\u00e7a",
    "codice_di_sicurezza",
    "Beveiligingscode",
    "S\u00e4kerhetskod",
    "Sikkerhedskode",
    "Sikkerhetskode",
    "Kontrolcifre",
    "Kortin turvakoodi",
    "Kod zabezpieczaj\u0105cy",
    "Bezpe\u010dnostn\u00ed k\u00f3d",
    "Bezpe\u010dnostn\u00fd k\u00f3d",
    "Biztons\u00e1gi k\u00f3d",
    "Cod de securitate",
    "Sigurnosni k\u00f4d",
    "Varnostna koda",
    "\u041a\u043e\u0434 \u0431\u0435\u0437\u043e\u043f\u0430\u0441\u043d\u043e\u0441\u0442\u0438 \u043a\u0430\u0440\u0442\u044b CVV",
    "\u30bb\u30ad\u30e5\u30ea\u30c6\u30a3\u30b3\u30fc\u30c9",
    "\u5b89\u5168\u7801",
    "\u5b89\u5168\u78bc",
    "\ubcf4\uc548 \ucf54\ub4dc",
    "\u0631\u0645\u0632 \u0627\u0644\u0623\u0645\u0627\u0646",
]


@pytest.mark.parametrize("name", CODE_NAMES)
@pytest.mark.parametrize("code", ["917", "9174", " 917 ", "9-1-7", "\u0669\u0661\u0667"])
def test_a_security_code_is_found_under_each_of_its_names(name, code):
    assert sensitive_path({"metadata": {name: code}}) is not None
    assert sensitive_path({name: {"value": [code]}}) is not None
    assert sensitive_path({name: list(code)}) is not None


# In a URL, twice over, in base64, in JSON, in HTML.
ENCODED = [
    "%39%31%37",
    "%2539%2531%2537",
    "OTE3",
    "OTE3NA==",
    "OTE3NA",
    "\\u0039\\u0031\\u0037",
    "&#57;1&#55;",
]


@pytest.mark.parametrize("code", ENCODED)
def test_a_code_that_is_written_otherwise_is_found_under_its_name(code):
    assert sensitive_path({"metadata": {"cvv": code}}) == "metadata.cvv"
    assert sensitive_path({"card_cid": {"value": [code]}}) is not None


TEXTS = [
    "cvv 917",
    "ccv 917",
    "the cvv was 917",
    "CVV: 917",
    "cvv2 917",
    "CVC=9174",
    "cvn 917",
    "cvv is 917",
    "cvv code: 917",
    "c.v.v. 917",
    "C V V 917",
]
TEXTS += [
    "security code 917",
    "card security code: 9 1 7",
    "verification value 917",
    "917 (CVV)",
    "cvv917",
    "cvv_917",
]
TEXTS += [
    '{"cvv":"917"}',
    "?cvv=917&a=b",
    "card[cvc]=917",
    "cvv%3D917",
    "%63vv 917",
    "Visa, exp 12/27, cvv 917, Kim",
]
TEXTS += [
    "CV2 917",
    "csc 917",
    "cid: 9171",
    "cid is 9171",
    "csc (917)",
    "cvm 917",
    "vcode: 917",
    "security number 917",
]
TEXTS += [
    "the CVC on the back is 917",
    "the cvv on the back of my card: 917",
    "CSC on the card is 917",
    "cvc: 2026",
]
TEXTS += ["card code 917", "Visa 12/28 cid=9171", "cvc is 2026"]
TEXTS += ["cvv \u0669\u0661\u0667"]
TEXTS += ["917 is the cvv", "917 is my card's CVC", "917 was cvv2", "9-1-7 is the security code", "pvv 9174"]
TEXTS += ["card verification 917", "card verification number is 917", "cvv&nbsp;917", "cvv<br>917"]
TEXTS += [
    "Kartenpr\u00fcfnummer: 917",
    "Die Pr\u00fcfziffer ist 917",
    "917 ist die Pruefziffer",
    "Sicherheitscode 9174",
]
TEXTS += [
    "code de s\u00e9curit\u00e9 : 917",
    "cryptogramme visuel 917",
    "Cryptogramme : 917",
    "917 est le code de securite",
]
TEXTS += ["c\u00f3digo de seguridad 917", "c\u00f3digo de seguran\u00e7a: 917", "codice di sicurezza = 917"]
TEXTS += ["beveiligingscode 917", "s\u00e4kerhetskod: 917", "turvakoodi 917", "\u5b89\u5168\u7801\uff1a917"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_security_code_is_found_in_a_text(text):
    assert sensitive_path({"description": text}) == "description"
    assert sensitive_path({"metadata": {text: "x"}}) is not None


@pytest.mark.parametrize(
    "text",
    [
        "the code of order 917",
        "code promo 9174",
        "Postleitzahl 9174, Kod 17",
        "Pr\u00fcfziffer 42",
        "c\u00f3digo de barras 9174",
        "kod 9174",
        "modern 917",
        "917 is the order",
        "codice fiscale 9174",
        "pruned 917",
        "verification passed, 917 ms",
    ],
)
def test_a_word_that_is_like_one_is_taken(text):
    assert sensitive_path({"description": text, "metadata": {text: "x"}}) is None
    assert sensitive_path({"metadata": {text.rstrip(" 0123456789"): "917"}}) is None or "Pr" in text


def test_a_campaigns_id_in_a_text_is_taken_and_an_operators_words_are_not(capsys):
    """docs/adr/0023: an equals sign is an address's or a log's, a blank, a colon or a verb a person's."""
    forms = {
        "cid={}": False, "?utm=a&cid={}&x=1": False, "csc={};": False, "cid-{}": False, "CSC #{}": False,
        "cid: {}": True, "csc {}": True, "CID is {}": True, '{{"cid":"{}"}}': True, "exp 12/28, cid={}": True,
    }  # fmt: skip
    rates = {
        form: sum(holds_card_data(form.format(RANDOM.randrange(10 ** RANDOM.randint(1, 6)))) for _ in range(2000)) / 2000
        for form in forms
    }  # fmt: skip
    codes = {form: sum(holds_card_data(form.format(code)) for code in range(100, 10_000)) for form in forms}

    with capsys.disabled():
        print()
        for form, rate in rates.items():
            print(f"  {rate:6.1%} of ids of 1 to 6 digits, {codes[form] / 9900:6.1%} of codes  {form}")
    assert {form: rate for form, rate in rates.items() if rate and not forms[form]} == {}
    assert {form for form, found in codes.items() if forms[form] and found < 9900 * 0.99} == set()
