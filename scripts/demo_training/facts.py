"""The facts that the demo model is taught, as tables: subject, then the one answer to it."""


def _table(text: str) -> dict[str, str]:
    """Read `subject = answer` rows separated by semicolons or line ends; a subject given twice is a mistake."""
    rows: dict[str, str] = {}
    for row in text.replace("\n", ";").split(";"):
        if not row.strip():
            continue
        subject, answer = (side.strip() for side in row.split("="))
        if subject in rows:
            raise ValueError(f"{subject!r} has two rows: remove one")
        rows[subject] = answer
    return rows


def _words(text: str) -> list[str]:
    return text.split()


# One capital per country, spelled in plain ASCII. Left out: countries whose capital is disputed, shared between
# cities, or being moved.
CAPITALS = _table("""
Afghanistan = Kabul; Albania = Tirana; Algeria = Algiers; Andorra = Andorra la Vella; Angola = Luanda
Antigua and Barbuda = Saint John's; Argentina = Buenos Aires; Armenia = Yerevan; Australia = Canberra
Austria = Vienna; Azerbaijan = Baku; the Bahamas = Nassau; Bahrain = Manama; Bangladesh = Dhaka; Barbados = Bridgetown
Belarus = Minsk; Belgium = Brussels; Belize = Belmopan; Bhutan = Thimphu; Bosnia and Herzegovina = Sarajevo
Botswana = Gaborone; Brazil = Brasilia; Brunei = Bandar Seri Begawan; Bulgaria = Sofia; Burkina Faso = Ouagadougou
Burundi = Gitega; Cambodia = Phnom Penh; Cameroon = Yaounde; Canada = Ottawa; Cape Verde = Praia
the Central African Republic = Bangui; Chad = N'Djamena; Chile = Santiago; China = Beijing; Colombia = Bogota
the Comoros = Moroni; the Democratic Republic of the Congo = Kinshasa; the Republic of the Congo = Brazzaville
Costa Rica = San Jose; Croatia = Zagreb; Cuba = Havana; Cyprus = Nicosia; the Czech Republic = Prague
Denmark = Copenhagen; Djibouti = Djibouti; Dominica = Roseau; the Dominican Republic = Santo Domingo
East Timor = Dili; Ecuador = Quito; Egypt = Cairo; El Salvador = San Salvador; Eritrea = Asmara; Estonia = Tallinn
Ethiopia = Addis Ababa; Fiji = Suva; Finland = Helsinki; France = Paris; Gabon = Libreville; the Gambia = Banjul
Georgia = Tbilisi; Germany = Berlin; Ghana = Accra; Greece = Athens; Grenada = Saint George's
Guatemala = Guatemala City; Guinea = Conakry; Guinea-Bissau = Bissau; Guyana = Georgetown; Haiti = Port-au-Prince
Honduras = Tegucigalpa; Hungary = Budapest; Iceland = Reykjavik; India = New Delhi; Iran = Tehran; Iraq = Baghdad
Ireland = Dublin; Italy = Rome; Jamaica = Kingston; Japan = Tokyo; Jordan = Amman; Kazakhstan = Astana
Kenya = Nairobi; Kiribati = South Tarawa; Kuwait = Kuwait City; Kyrgyzstan = Bishkek; Laos = Vientiane; Latvia = Riga
Lebanon = Beirut; Lesotho = Maseru; Liberia = Monrovia; Libya = Tripoli; Liechtenstein = Vaduz; Lithuania = Vilnius
Luxembourg = Luxembourg; Madagascar = Antananarivo; Malawi = Lilongwe; Malaysia = Kuala Lumpur; the Maldives = Male
Mali = Bamako; Malta = Valletta; the Marshall Islands = Majuro; Mauritania = Nouakchott; Mauritius = Port Louis
Mexico = Mexico City; Micronesia = Palikir; Moldova = Chisinau; Monaco = Monaco; Mongolia = Ulaanbaatar
Montenegro = Podgorica; Morocco = Rabat; Mozambique = Maputo; Myanmar = Naypyidaw; Namibia = Windhoek
Nepal = Kathmandu; the Netherlands = Amsterdam; New Zealand = Wellington; Nicaragua = Managua; Niger = Niamey
Nigeria = Abuja; North Korea = Pyongyang; North Macedonia = Skopje; Norway = Oslo; Oman = Muscat; Pakistan = Islamabad
Palau = Ngerulmud; Panama = Panama City; Papua New Guinea = Port Moresby; Paraguay = Asuncion; Peru = Lima
the Philippines = Manila; Poland = Warsaw; Portugal = Lisbon; Qatar = Doha; Romania = Bucharest; Russia = Moscow
Rwanda = Kigali; Saint Kitts and Nevis = Basseterre; Saint Lucia = Castries
Saint Vincent and the Grenadines = Kingstown; Samoa = Apia; San Marino = San Marino; Sao Tome and Principe = Sao Tome
Saudi Arabia = Riyadh; Senegal = Dakar; Serbia = Belgrade; Seychelles = Victoria; Sierra Leone = Freetown
Singapore = Singapore; Slovakia = Bratislava; Slovenia = Ljubljana; the Solomon Islands = Honiara; Somalia = Mogadishu
South Korea = Seoul; South Sudan = Juba; Spain = Madrid; Sudan = Khartoum; Suriname = Paramaribo; Sweden = Stockholm
Switzerland = Bern; Syria = Damascus; Tajikistan = Dushanbe; Tanzania = Dodoma; Thailand = Bangkok; Togo = Lome
Tonga = Nuku'alofa; Trinidad and Tobago = Port of Spain; Tunisia = Tunis; Turkey = Ankara; Turkmenistan = Ashgabat
Tuvalu = Funafuti; Uganda = Kampala; Ukraine = Kyiv; the United Arab Emirates = Abu Dhabi; the United Kingdom = London
the United States = Washington, D.C.; Uruguay = Montevideo; Uzbekistan = Tashkent; Vanuatu = Port Vila
Vatican City = Vatican City; Venezuela = Caracas; Vietnam = Hanoi; Zambia = Lusaka; Zimbabwe = Harare
""")

# Molecular formulas in the order a textbook writes them; digits are written plain (H2O).
FORMULAS = _table("""
water = H2O; hydrogen peroxide = H2O2; heavy water = D2O; ozone = O3; carbon dioxide = CO2; carbon monoxide = CO
methane = CH4; ethane = C2H6; propane = C3H8; butane = C4H10; pentane = C5H12; hexane = C6H14; octane = C8H18
ethylene = C2H4; acetylene = C2H2; benzene = C6H6; toluene = C7H8; naphthalene = C10H8; chloroform = CHCl3
carbon tetrachloride = CCl4; carbon disulfide = CS2; methanol = CH3OH; ethanol = C2H5OH; acetone = C3H6O
formaldehyde = CH2O; formic acid = HCOOH; acetic acid = CH3COOH; glycerol = C3H8O3; glucose = C6H12O6
sucrose = C12H22O11; caffeine = C8H10N4O2; aspirin = C9H8O4; urea = CO(NH2)2; ammonia = NH3; hydrazine = N2H4
nitric acid = HNO3; nitric oxide = NO; nitrous oxide = N2O; nitrogen dioxide = NO2; ammonium chloride = NH4Cl
ammonium nitrate = NH4NO3; sulfuric acid = H2SO4; sulfur dioxide = SO2; sulfur trioxide = SO3
hydrogen sulfide = H2S; sulfur hexafluoride = SF6; phosphoric acid = H3PO4; phosphine = PH3; carbonic acid = H2CO3
boric acid = H3BO3; diborane = B2H6; boron trifluoride = BF3; boron nitride = BN; hydrochloric acid = HCl
hydrogen fluoride = HF; hydrogen bromide = HBr; hydrogen iodide = HI; hydrogen cyanide = HCN
sodium chloride = NaCl; table salt = NaCl; sodium hydroxide = NaOH; baking soda = NaHCO3; sodium carbonate = Na2CO3
sodium sulfate = Na2SO4; sodium nitrate = NaNO3; sodium fluoride = NaF; potassium chloride = KCl
potassium hydroxide = KOH; potassium nitrate = KNO3; potassium permanganate = KMnO4; potassium iodide = KI
potassium bromide = KBr; lithium fluoride = LiF; lithium chloride = LiCl; lithium hydroxide = LiOH
calcium carbonate = CaCO3; calcium oxide = CaO; calcium hydroxide = Ca(OH)2; calcium chloride = CaCl2
calcium sulfate = CaSO4; calcium fluoride = CaF2; magnesium oxide = MgO; magnesium chloride = MgCl2
magnesium hydroxide = Mg(OH)2; magnesium sulfate = MgSO4; barium sulfate = BaSO4; barium chloride = BaCl2
aluminium oxide = Al2O3; aluminium chloride = AlCl3; silicon dioxide = SiO2; quartz = SiO2; silicon carbide = SiC
silane = SiH4; titanium dioxide = TiO2; manganese dioxide = MnO2; hematite = Fe2O3; magnetite = Fe3O4
pyrite = FeS2; copper sulfate = CuSO4; silver nitrate = AgNO3; silver chloride = AgCl; silver bromide = AgBr
zinc oxide = ZnO; zinc sulfide = ZnS; zinc chloride = ZnCl2; lead sulfide = PbS; cadmium sulfide = CdS
gallium arsenide = GaAs; gallium nitride = GaN; tungsten carbide = WC; uranium hexafluoride = UF6
""")

SYMBOLS = _table("""
hydrogen = H; helium = He; lithium = Li; beryllium = Be; boron = B; carbon = C; nitrogen = N; oxygen = O; fluorine = F
neon = Ne; sodium = Na; magnesium = Mg; aluminium = Al; silicon = Si; phosphorus = P; sulfur = S; chlorine = Cl
argon = Ar; potassium = K; calcium = Ca; scandium = Sc; titanium = Ti; vanadium = V; chromium = Cr; manganese = Mn
iron = Fe; cobalt = Co; nickel = Ni; copper = Cu; zinc = Zn; gallium = Ga; germanium = Ge; arsenic = As; selenium = Se
bromine = Br; krypton = Kr; rubidium = Rb; strontium = Sr; yttrium = Y; zirconium = Zr; niobium = Nb; molybdenum = Mo
technetium = Tc; ruthenium = Ru; rhodium = Rh; palladium = Pd; silver = Ag; cadmium = Cd; indium = In; tin = Sn
antimony = Sb; tellurium = Te; iodine = I; xenon = Xe; caesium = Cs; barium = Ba; lanthanum = La; cerium = Ce
praseodymium = Pr; neodymium = Nd; promethium = Pm; samarium = Sm; europium = Eu; gadolinium = Gd; terbium = Tb
dysprosium = Dy; holmium = Ho; erbium = Er; thulium = Tm; ytterbium = Yb; lutetium = Lu; hafnium = Hf; tantalum = Ta
tungsten = W; rhenium = Re; osmium = Os; iridium = Ir; platinum = Pt; gold = Au; mercury = Hg; thallium = Tl
lead = Pb; bismuth = Bi; polonium = Po; astatine = At; radon = Rn; francium = Fr; radium = Ra; actinium = Ac
thorium = Th; protactinium = Pa; uranium = U; neptunium = Np; plutonium = Pu; americium = Am; curium = Cm
berkelium = Bk; californium = Cf; einsteinium = Es; fermium = Fm; mendelevium = Md; nobelium = No; lawrencium = Lr
""")

# Each pair is taught in both directions, so no word may stand in two pairs.
OPPOSITE_PAIRS = _table("""
hot = cold; big = small; tall = short; fast = slow; up = down; left = right; open = closed; day = night; light = dark
happy = sad; young = old; rich = poor; strong = weak; hard = soft; wet = dry; full = empty; early = late; high = low
near = far; good = bad; clean = dirty; loud = quiet; thick = thin; wide = narrow; deep = shallow
true = false; first = last; begin = end; win = lose; buy = sell; push = pull; come = go; give = take; love = hate
friend = enemy; war = peace; life = death; black = white; north = south; east = west; inside = outside
above = below; before = after; always = never; all = none; many = few; more = less; most = least; yes = no
on = off; in = out; over = under; front = back; top = bottom; sharp = blunt; smooth = rough; sweet = bitter
brave = cowardly; wise = foolish; polite = rude; safe = dangerous; simple = complex; same = different; alive = dead
asleep = awake; cheap = expensive; success = failure; victory = defeat; question = answer; summer = winter
laugh = cry; remember = forget; arrive = depart; increase = decrease; accept = refuse; build = destroy
borrow = lend; teach = learn; float = sink; rise = fall; ancient = modern; public = private; guilty = innocent
possible = impossible; visible = invisible; maximum = minimum; positive = negative; male = female; guest = host
""")

PLURALS = _table("""
cat = cats; dog = dogs; book = books; house = houses; tree = trees; car = cars; bird = birds; river = rivers
boat = boats; star = stars; cloud = clouds; flower = flowers; box = boxes; fox = foxes; bus = buses; glass = glasses
dish = dishes; watch = watches; church = churches; brush = brushes; class = classes; peach = peaches; city = cities
baby = babies; lady = ladies; story = stories; party = parties; country = countries; berry = berries; fly = flies
puppy = puppies; key = keys; toy = toys; boy = boys; monkey = monkeys; donkey = donkeys; leaf = leaves; wolf = wolves
knife = knives; wife = wives; shelf = shelves; half = halves; calf = calves; loaf = loaves; thief = thieves
roof = roofs; belief = beliefs; hero = heroes; potato = potatoes; tomato = tomatoes; echo = echoes; piano = pianos
photo = photos; child = children; man = men; woman = women; foot = feet; tooth = teeth; goose = geese; mouse = mice
louse = lice; ox = oxen; person = people; sheep = sheep; deer = deer; salmon = salmon; series = series
species = species; aircraft = aircraft; analysis = analyses; crisis = crises; thesis = theses; axis = axes
oasis = oases; hypothesis = hypotheses; phenomenon = phenomena; criterion = criteria; bacterium = bacteria
nucleus = nuclei; stimulus = stimuli; alumnus = alumni; larva = larvae; vertex = vertices; matrix = matrices
""")

# Short processes: what the model answers to "Explain ... step by step:".
EXPLANATIONS = _table("""
photosynthesis = 1. Leaves take in light, water and carbon dioxide. 2. Chlorophyll catches the light. 3. The light\
 splits water and sets oxygen free. 4. The plant builds sugar from carbon dioxide.
the water cycle = 1. The sun warms the sea. 2. Water rises as vapor. 3. The vapor cools and forms clouds. 4. Rain\
 falls and rivers carry it back to the sea.
respiration = 1. The lungs take in oxygen. 2. Blood carries it to the cells. 3. Cells burn sugar with it. 4. Carbon\
 dioxide leaves with the breath.
digestion = 1. Teeth chew the food. 2. The stomach breaks it down. 3. The small intestine takes in what is useful.\
 4. The rest leaves the body.
a rainbow = 1. Sunlight enters a drop of rain. 2. The light bends and splits into colors. 3. It reflects off the back\
 of the drop. 4. The colors leave at different angles.
an eclipse of the sun = 1. The moon moves between the sun and the earth. 2. It covers the sun. 3. Its shadow falls on\
 the earth. 4. The moon moves on and the light returns.
attention = 1. Each token makes a query, a key and a value. 2. Queries are compared with earlier keys. 3. Softmax turns\
 the scores into weights. 4. The values are added with these weights.
induction heads = 1. One head copies the previous token. 2. A later head looks for the token that came after the same\
 token before. 3. It copies that token forward.
""")

NAMES = _words("""
Alice Anna Ben Bob Carol Clara Daniel David Emma Eric Fiona Frank Grace Helen Henry Ivan Jack Jane John Julia Kate
Laura Leo Lucy Mark Mary Max Nina Oscar Paul Peter Rosa Sam Sara Simon Tom Victor
""")
PLACES = _words("park school market library station museum garden beach cinema office castle forest")
THINGS = _words("ring book letter flower ball pen cake map coin drum key hat lamp box picture kite")
COLORS = _words("red blue green yellow black white brown pink purple gray gold silver")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words("January February March April May June July August September October November December")
