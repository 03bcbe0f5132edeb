"""The definition that every database begins with: a business register by its usual headers.

A migration puts it there once. From then on the admin has it; a change here is for new databases only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ingestion.sources.imports.definition import Column, Definition


def _address(kind: str, label: str, synonyms: Mapping[str, Iterable[str]]) -> list[Column]:
    parts = [
        ("address_part1", "address", "text"),
        ("address_part2", "address, second line", "text"),
        ("address_part3", "address, third line", "text"),
        ("postcode", "postcode", "code"),
        ("postplace", "post place", "text"),
        ("region_code", "region code", "code"),
        ("country_iso_2", "country", "code"),
    ]
    return [
        Column(
            name=f"{kind}_{part}", label=f"{label} {name}", type=type_, synonyms=tuple(synonyms.get(part, ()))
        )
        for part, name, type_ in parts
    ]


# Besides the names themselves: usual English headers, those of Companies House, of the British statistical
# register and of the Norwegian open register.
DEFAULT = Definition(
    slug="register",
    name="Business register",
    columns=(
        Column(
            name="tax_ident",
            label="Identifier",
            type="code",
            required=True,
            longest=200,
            synonyms=(
                "identifier",
                "taxid",
                "taxnumber",
                "taxidentifier",
                "vatnumber",
                "companynumber",
                "companyno",
                "registrationnumber",
                "regnumber",
                "orgnumber",
                "organisationnumber",
                "organizationnumber",
                "crn",
                "organisasjonsnummer",
                "lurn",
                "ern",
                "id",
            ),
        ),
        Column(
            name="stat_ident",
            label="Statistical identifier",
            type="code",
            longest=200,
            synonyms=("statid", "statisticalid", "statisticalidentifier", "luref", "entref"),
        ),
        Column(
            name="name",
            label="Name",
            required=True,
            synonyms=("companyname", "unitname", "businessname", "legalname", "organisationname", "navn"),
        ),
        Column(
            name="birth_date",
            label="Founded",
            type="date",
            synonyms=(
                "founded",
                "foundingdate",
                "incorporationdate",
                "dateofincorporation",
                "startdate",
                "oppstartsdato",
                "stiftelsesdato",
            ),
        ),
        Column(
            name="death_date",
            label="Closed",
            type="date",
            synonyms=("closed", "closingdate", "dissolutiondate", "dissolved", "nedleggelsesdato"),
        ),
        Column(name="valid_from", label="Valid from", type="date", synonyms=("validsince", "fromdate")),
        Column(name="valid_to", label="Valid to", type="end_date", synonyms=("validuntil", "todate")),
        *_address(
            "physical",
            "Physical",
            {
                "address_part1": (
                    "address",
                    "address1",
                    "addressline1",
                    "street",
                    "regaddressaddressline1",
                    "beliggenhetsadresseadresse",
                    "forretningsadresseadresse",
                ),
                "address_part2": ("address2", "addressline2", "regaddressaddressline2"),
                "address_part3": ("address3", "addressline3"),
                "postcode": (
                    "postcode",
                    "zip",
                    "zipcode",
                    "postalcode",
                    "regaddresspostcode",
                    "beliggenhetsadressepostnummer",
                    "forretningsadressepostnummer",
                ),
                "postplace": (
                    "postplace",
                    "city",
                    "town",
                    "regaddressposttown",
                    "beliggenhetsadressepoststed",
                    "forretningsadressepoststed",
                ),
                "region_code": (
                    "region",
                    "regioncode",
                    "beliggenhetsadressekommunenummer",
                    "forretningsadressekommunenummer",
                ),
                "country_iso_2": (
                    "country",
                    "countrycode",
                    "countryiso2",
                    "beliggenhetsadresselandkode",
                    "forretningsadresselandkode",
                ),
            },
        ),
        *_address(
            "postal",
            "Postal",
            {
                "address_part1": ("postaladdress", "postadresseadresse"),
                "postcode": ("postadressepostnummer",),
                "postplace": ("postadressepoststed",),
                "region_code": ("postadressekommunenummer",),
                "country_iso_2": ("postadresselandkode",),
            },
        ),
        Column(
            name="primary_activity_category_code",
            label="Main activity",
            type="code",
            longest=200,
            synonyms=(
                "activity",
                "activitycode",
                "primaryactivity",
                "nace",
                "nacecode",
                "isic",
                "isiccode",
                "sic",
                "sic07",
                "siccode",
                "siccodesictext1",
                "naeringskode1kode",
            ),
        ),
        Column(
            name="secondary_activity_category_code",
            label="Second activity",
            type="code",
            longest=200,
            synonyms=("secondaryactivity", "siccodesictext2", "naeringskode2kode"),
        ),
        Column(
            name="legal_form_code",
            label="Legal form",
            type="code",
            longest=200,
            synonyms=("legalform", "legalstatus", "companycategory", "organisasjonsformkode"),
        ),
        Column(
            name="sector_code",
            label="Sector",
            type="code",
            longest=200,
            synonyms=("sector", "institusjonellsektorkodekode"),
        ),
        Column(
            name="employees",
            label="Employees",
            type="integer",
            least=0,
            synonyms=("numberofemployees", "employeecount", "headcount", "antallansatte"),
        ),
        Column(
            name="turnover", label="Turnover", type="decimal", synonyms=("revenue", "sales", "entturnover")
        ),
        Column(
            name="physical_latitude",
            label="Latitude",
            type="decimal",
            least=-90,
            most=90,
            synonyms=("latitude", "lat"),
        ),
        Column(
            name="physical_longitude",
            label="Longitude",
            type="decimal",
            least=-180,
            most=180,
            synonyms=("longitude", "lon", "lng"),
        ),
        Column(
            name="web_address",
            label="Web address",
            type="web",
            synonyms=("website", "web", "homepage", "url", "hjemmeside"),
        ),
        Column(name="email_address", label="E-mail address", synonyms=("email", "mail")),
        Column(name="phone_number", label="Phone number", type="code", synonyms=("phone", "telephone")),
    ),
)


def put(apps: Any) -> None:
    """Write it where it is not there yet. apps: of the models as they are, or were for a migration."""
    definitions = apps.get_model("imports", "ImportDefinition").objects
    values = {name: getattr(DEFAULT, name) for name in ("name", "mode", "validity")}
    row, made = definitions.get_or_create(
        slug=DEFAULT.slug, defaults={**values, "empty": list(DEFAULT.empty)}
    )
    if not made:
        return
    target = apps.get_model("imports", "TargetColumn")
    rows = [
        {**asdict(column), "codes": None, "synonyms": list(column.synonyms)} for column in DEFAULT.columns
    ]
    target.objects.bulk_create(
        target(definition=row, position=10 * place, **values) for place, values in enumerate(rows, 1)
    )
