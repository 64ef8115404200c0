"""Personal data: found by pattern and checksum, and everything else left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.text.mask import KINDS, iban_valid, luhn, mask

FOUND = [
    ("card 4111 1111 1111 1111 thanks", "card [card ending 1111] thanks"),
    ("4111-1111-1111-1111.", "[card ending 1111]."),
    ("amex 3782 822463 10005", "amex [card ending 0005]"),
    ("my card is 4111111111111112", "my card is [card ending 1112]"),
    ("pay GB82 WEST 1234 5698 7654 32 please", "pay [iban] please"),
    ("de89370400440532013000", "[iban]"),
    ("ES91 2100 0418 4502 0005 1332, gracias", "[iban], gracias"),
    ("ssn 123-45-6789", "ssn [ssn]"),
    ("my social security number is 123456789", "my social security number is [ssn]"),
    ("call me at 555-867-5309.", "call me at [phone]."),
    ("(415) 555-2671", "[phone]"),
    ("+44 20 7946 0958", "[phone]"),
    ("020 7946 0958", "[phone]"),
    ("llámame al 612 345 678", "llámame al [phone]"),
    ("write to a.b+c@ex.co.uk.", "write to [email]."),
    ("from 192.168.0.1", "from [ip]"),
    ("from 2001:db8::1", "from [ip]"),
    ("born on 3 May 1980", "born on [date of birth]"),
    ("DOB: 05/03/1980", "DOB: [date of birth]"),
    ("fecha de nacimiento: 3 de mayo de 1980", "fecha de nacimiento: [date of birth]"),
    ("passport number X1234567", "passport number [document]"),
    ("my password is hunter2.", "my password is [secret]."),
    ("the pin is 1234", "the pin is [secret]"),
    ("DNI 12345678Z", "DNI [national id]"),
    ("account number 12345678", "account number [account]"),
    (
        '{"card_number": 4111111111111111, "phone": "5551234567"}',
        '{"card_number": [card ending 1111], "phone": "[phone]"}',
    ),
    (
        '{"date_of_birth": "1990-01-01", "password": "hunter2"}',
        '{"date_of_birth": "[date of birth]", "password": "[secret]"}',
    ),
    ("https://shop.example/login?token=abcdef", "https://shop.example/login?token=[secret]"),
    (
        "see <https://shop.example/r?lang=en&reset_token=Ab-c_d.e~f#top>, please",
        "see <https://shop.example/r?lang=en&reset_token=[secret]#top>, please",
    ),
    (
        "https://id.example/cb#access_token=eyJh.eyJz.sig&token_type=bearer&id_token=xyz",
        "https://id.example/cb#access_token=[secret]&token_type=bearer&id_token=[secret]",
    ),
    ("/files/a.pdf?X-Amz-Signature=feedbeef&page=2", "/files/a.pdf?X-Amz-Signature=[secret]&page=2"),
    ("https://shop.example/?SessionId=abc;api-key=def", "https://shop.example/?SessionId=[secret];api-key=[secret]"),
]

LEFT_ALONE = [
    "order #W1234567",
    "order number 4111 2222",
    "item 1008292230",
    "item id: 4111111111111112",
    "reservation 4WQ150 for two",
    "flight HAT136 on 2024-05-20 at 12:30:45",
    "tracking number 555-867-5309",
    "$1,234.50 in total, 305 of 255",
    "GB82 WEST 1234 5698 7654 33 fails its checksum",
    "DNI 12345678A fails its checksum",
    "version 1.2.3.4",
    "300.1.2.3 is no address",
    "password is wrong",
    "https://shop.example/list?order=latest&page=two#reviews",
    "https://shop.example/list?monkey=a&encode=b&author=c&keys=d&token_type=bearer",
    "what does ?token= mean, and token=ring?",
    "pin: not working",
    "born to be wild in 1968",
    "999-12-3456 and 000-12-3456 are no numbers of that kind",
    "a ratio of 16:9, a score of 3:2:1",
    "support@ is no address",
    "",
]


@pytest.mark.parametrize(("text", "masked"), FOUND, ids=[text for text, _ in FOUND])
def test_personal_data_is_replaced_by_its_kind(text: str, masked: str) -> None:
    assert mask(text).text == masked


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_names_a_thing_and_not_a_person_stays(text: str) -> None:
    assert mask(text).text == text
    assert mask(text).masks == ()


def test_every_kind_is_shown_by_a_case() -> None:
    assert {found.kind for text, _ in FOUND for found in mask(text).masks} == set(KINDS)


def test_masks_tell_where_in_the_original() -> None:
    text = "mail a@example.com or call +1 415 555 2671 now"
    masked = mask(text)
    assert [(found.kind, text[found.start : found.end]) for found in masked.masks] == [
        ("email", "a@example.com"),
        ("phone", "+1 415 555 2671"),
    ]
    assert masked.text == "mail [email] or call [phone] now"
    assert masked.text[masked.place(text.index("now")) :] == "now"
    assert masked.place(text.index("415")) == masked.text.index("[phone]")


@pytest.mark.parametrize(
    ("digits", "right"), [("4111111111111111", True), ("4111111111111112", False), ("79927398713", True), ("0", True)]
)
def test_luhn(digits: str, right: bool) -> None:
    assert luhn(digits) is right


@pytest.mark.parametrize(
    ("iban", "right"),
    [
        ("GB82WEST12345698765432", True),
        ("GB82WEST12345698765433", False),
        ("GB82WEST1234569876543", False),
        ("ZZ00", False),
    ],
)
def test_an_iban_needs_its_country_s_length_and_its_check_digits(iban: str, right: bool) -> None:
    assert iban_valid(iban) is right


@given(st.integers(0, 10**14 - 1), st.sampled_from(["{}", "card {}", "x {} y", "my number: {}!"]))
def test_no_whole_card_number_is_left(number: int, around: str) -> None:
    body = f"4{number:014d}"
    card = next(body + str(digit) for digit in range(10) if luhn(body + str(digit)))
    masked = mask(around.format(card)).text
    assert card not in masked
    assert masked.count(f"[card ending {card[-4:]}]") == 1


@given(st.text(alphabet="abc@.+-() 0123456789:#/ñ[]", max_size=120))
def test_masks_never_overlap_and_the_rest_of_the_text_stays(text: str) -> None:
    masked = mask(text)
    rebuilt, at = "", 0
    for found, shown in zip(masked.masks, masked.shown, strict=True):
        assert at <= found.start < found.end <= len(text)
        rebuilt += text[at : found.start] + shown
        at = found.end
    assert rebuilt + text[at:] == masked.text


@pytest.mark.parametrize(
    "seed",
    [
        "a",
        "1 ",
        "1",
        "a@",
        "password is ",
        "GB82 ",
        ":",
        "1.1.",
        "born ",
        "(",
        "phone 1",
        "a@b.co ",
        "+",
        "card ",
        "?token=",
        "?token=a&",
        "&x-amz-",
    ],
)
def test_a_text_that_repeats_itself_for_ever_is_masked_once(seed: str) -> None:
    # Work that grows with the square of the length would take hours here; bench/ is where time is measured.
    text = (seed * 200_000)[:200_000]
    masked = mask(text)
    assert mask(masked.text).text == masked.text
    assert bool(masked.masks) is ("a@b.co" in seed or "?token=" in seed)
