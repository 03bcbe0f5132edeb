# ruff: noqa: E501  # data
"""What the quality of search is measured with: documents and questions that we wrote.

Families of documents differ in a few words only, so that the right one is told from its near-duplicates.
Questions are of three kinds: in other words than the document's, by a number or name, and a mix of both.
"""

_INVOICE = """Invoice {0}
From {1}, {2}. Ordered under {3}.
{4}
Payable within {5} days after the goods were received. Questions to the accounts department."""

_VISIT = """Report of a visit to the plant in {0}, {1}
We were shown around by {2}. {3}
{4}
The report was sent to purchasing and to the plant."""

_MANUAL = """{0}: short manual
{1}
Cleaning: {2}
When it stops: {3}"""

_MINUTES = """Minutes of the works council, {0}
Present were seven members. {1}
{2}
The next meeting is in four weeks."""

DOCUMENTS = {
    "invoice-2041": _INVOICE.format("INV-2041", "Baltic Wire", "Gdynia", "PO-7713", "Copper cable, 400 metres, with reels.", 30),
    "invoice-2042": _INVOICE.format("INV-2042", "Baltic Wire", "Gdynia", "PO-7731", "Copper cable, 900 metres, without reels.", 30),
    "invoice-2043": _INVOICE.format("INV-2043", "Ostrava Castings", "Ostrava", "PO-7714", "Pump housings of grey iron, 60 pieces.", 14),
    "invoice-2044": _INVOICE.format("INV-2044", "Norrmalm Cells", "Stockholm", "PO-7720", "Lithium batteries for hand tools, 2,000 pieces.", 30),
    "invoice-2045": _INVOICE.format("INV-2045", "Anatolia Glass", "Izmir", "PO-7725", "Window panes for the porter's lodge, four pieces.", 60),
    "invoice-2046": _INVOICE.format("INV-2046", "Norrmalm Cells", "Stockholm", "PO-7742", "Chargers for hand tools, 300 pieces.", 30),
    "visit-ostrava": _VISIT.format("Ostrava", "11 May", "Petra", "The furnace is four degrees too cold.", "Dust in the grinding booth has not been measured since spring; the workers cough."),
    "visit-gdynia": _VISIT.format("Gdynia", "2 June", "Marek", "The drawing machines are new.", "Fire doors are kept open with wedges of wood."),
    "visit-izmir": _VISIT.format("Izmir", "19 June", "Defne", "The melting tank runs on gas.", "Staff lift crates of 40 kilograms by hand and complain of sore backs."),
    "visit-stockholm": _VISIT.format("Stockholm", "30 June", "Lovisa", "The dry room is dry enough.", "Used solvent stands in open buckets next to the canteen."),
    "visit-braga": _VISIT.format("Braga", "7 July", "Rui", "The looms are from 1988 and run well.", "Two sewing machines have no guard for the needle."),
    "visit-tampere": _VISIT.format("Tampere", "21 July", "Aino", "The paper machine was down for repairs.", "Waste water is three degrees warmer than the permit for the river allows."),
    "policy-travel-2024": "Travel policy 2024. Trains are booked in second class. A hotel may cost 110 euros a night. Flights under 600 kilometres are not paid. Receipts are handed in within a month.",
    "policy-travel-2025": "Travel policy 2025. Trains are booked in first class above four hours. A hotel may cost 140 euros a night. Flights under 800 kilometres are not paid. Receipts are handed in within two weeks.",
    "policy-cobalt": "Policy on cobalt and tin. Suppliers in scope pass an independent audit every 24 months. Without one, orders stop after 90 days of grace.",
    "policy-leave": "Leave. Everybody has 28 days of holiday a year. Five of them may be carried over until March. Parents may stay at home with a sick child for ten days.",
    "policy-passwords": "Passwords. At least fourteen characters, never on paper. They are changed only when somebody may know them. Two factors are needed from outside the building.",
    "policy-speaking-up": "Speaking up. Who sees a crime or a danger may tell the ombudsman, with a name or without. Nobody is punished for it. The ombudsman answers within a week.",
    "minutes-january": _MINUTES.format("January", "The canteen will offer a dish without meat every day.", "Shift workers ask for a later start on Mondays."),
    "minutes-february": _MINUTES.format("February", "The bicycle shed gets a roof and a pump.", "Overtime in the foundry was above the limit in six weeks."),
    "minutes-march": _MINUTES.format("March", "The lift in building C is out of order since Christmas.", "Apprentices want a laptop of their own."),
    "minutes-april": _MINUTES.format("April", "The summer party is on 14 June at the lake.", "Temperatures in the paint shop reach 34 degrees; fans were promised."),
    "manual-p12": _MANUAL.format("Pump P-12", "Moves up to 12 cubic metres of water an hour.", "rinse the filter every week.", "look for air in the inlet; error E4 means that it runs dry."),
    "manual-p14": _MANUAL.format("Pump P-14", "Moves up to 14 cubic metres of water an hour.", "rinse the filter every day.", "look for sand in the wheel; error E7 means that it is blocked."),
    "manual-kiln": _MANUAL.format("Kiln K-7", "Burns clay at up to 1,260 degrees.", "sweep the floor of the chamber when it is cold.", "the door is not shut; error E4 means that the sensor is broken."),
    "manual-press": _MANUAL.format("Press H-90", "Bends steel sheets of up to 9 millimetres.", "wipe the oil from the ram each evening.", "a hand was in the light curtain; error E9 means that the oil is too hot."),
    "manual-forklift": _MANUAL.format("Forklift FX-20", "Lifts two tonnes to four metres.", "blow the dust from the battery box.", "the seat switch was open; error E2 means an empty battery."),
    "manual-coffee": _MANUAL.format("Coffee machine", "Makes forty cups an hour.", "run the descaling programme every month.", "the tank for grounds is full; a red light means that milk is missing."),
    "letter-landlord": "To the tenants of Mill Lane 5: the heating is replaced in the week of 8 September. There will be no hot water on Tuesday and Wednesday. Please let the fitters into the cellar.",
    "letter-bank": "Your loan 88-4410: the interest changes from 3.1 to 4.2 percent on 1 October. You may repay up to a tenth of the sum each year without a fee.",
    "letter-customs": "Consignment TR-5590 is held at the port: the declaration of origin is missing. Send it within ten days or the goods go back to the sender.",
    "letter-school": "Dear parents, class 6b goes to the museum of mining on Friday. Rain jackets, a packed lunch and four euros are needed. The coach is back at five.",
}  # fmt: skip

QUESTIONS = [
    ("PO-7713", "invoice-2041"),
    ("PO-7731", "invoice-2042"),
    ("which bill is about 900 metres without reels", "invoice-2042"),
    ("INV-2043", "invoice-2043"),
    ("iron parts for pumps that we have to pay", "invoice-2043"),
    ("what did we pay for rechargeable cells for drills", "invoice-2044"),
    ("PO-7720", "invoice-2044"),
    ("bill for glass at the entrance", "invoice-2045"),
    ("which supplier gives us two months to pay", "invoice-2045"),
    ("INV-2046", "invoice-2046"),
    ("devices that fill batteries of tools with power", "invoice-2046"),
    ("400 metres of cable with reels", "invoice-2041"),
    ("bad air makes people cough", "visit-ostrava"),
    ("what did Petra show us", "visit-ostrava"),
    ("exits in case of fire are blocked open", "visit-gdynia"),
    ("Marek", "visit-gdynia"),
    ("people hurt their back by carrying heavy boxes", "visit-izmir"),
    ("Defne melting tank", "visit-izmir"),
    ("chemicals stored without a lid near food", "visit-stockholm"),
    ("Lovisa", "visit-stockholm"),
    ("danger for fingers at old textile machines", "visit-braga"),
    ("looms from 1988", "visit-braga"),
    ("factory heats up the river", "visit-tampere"),
    ("Aino paper machine", "visit-tampere"),
    ("how much may a room for the night cost in 2024", "policy-travel-2024"),
    ("how much may a room for the night cost in 2025", "policy-travel-2025"),
    ("flights under 800 kilometres", "policy-travel-2025"),
    ("flights under 600 kilometres", "policy-travel-2024"),
    ("when may I go first class by rail", "policy-travel-2025"),
    ("how often are sources of battery metal inspected", "policy-cobalt"),
    ("90 days of grace", "policy-cobalt"),
    ("vacation left at the end of the year", "policy-leave"),
    ("my daughter is ill, may I stay home", "policy-leave"),
    ("how long must my secret word for signing in be", "policy-passwords"),
    ("two factors", "policy-passwords"),
    ("reporting wrongdoing anonymously", "policy-speaking-up"),
    ("ombudsman", "policy-speaking-up"),
    ("vegetarian food at lunch", "minutes-january"),
    ("later start on Mondays", "minutes-january"),
    ("where can cyclists keep dry", "minutes-february"),
    ("too many hours worked in the foundry", "minutes-february"),
    ("elevator does not work", "minutes-march"),
    ("trainees need computers", "minutes-march"),
    ("it is too hot where cars are painted", "minutes-april"),
    ("14 June at the lake", "minutes-april"),
    ("error E7", "manual-p14"),
    ("P-12 error E4", "manual-p12"),
    ("kiln error E4", "manual-kiln"),
    ("how often do I rinse the filter of the P-14", "manual-p14"),
    ("how often do I rinse the filter of the P-12", "manual-p12"),
    ("oven for pottery", "manual-kiln"),
    ("machine that folds metal", "manual-press"),
    ("light curtain", "manual-press"),
    ("vehicle that raises pallets", "manual-forklift"),
    ("FX-20 seat switch", "manual-forklift"),
    ("removing limescale", "manual-coffee"),
    ("red light milk", "manual-coffee"),
    ("no warm shower in September", "letter-landlord"),
    ("Mill Lane 5", "letter-landlord"),
    ("borrowed money becomes more expensive", "letter-bank"),
    ("88-4410", "letter-bank"),
    ("paper that says where the goods were made is lacking", "letter-customs"),
    ("TR-5590", "letter-customs"),
    ("what must children bring for the excursion", "letter-school"),
    ("class 6b", "letter-school"),
]
