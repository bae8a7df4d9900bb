//! Words that the rules know: abbreviations, which keep their full stop, and words that begin sentences.

/// Months and days that a sentence can end with.
pub(super) const TIMES: &str = "~jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mon|tue|tues|wed|thu|thurs|fri";

/// States that a sentence can end with.
pub(super) const STATES: &str = "~ala|ariz|calif|colo|conn|dak|fla|ga|ind|kan|kans|ky|md|mich|minn|mo|mont|neb|nev|okla|penn|tenn|va|vt\
    |wis|wisc|wyo";

/// The same, not in lower case, where some are words.
pub(super) const CAPITAL_STATES: &str =
    "A(rk|RK)|A(z|Z)|D(el|EL)|I(ll|LL)|L(a|A)|M(ass|ASS)|M(iss|ISS)|O(re|RE)|P(a|A)|T(ex|EX)|W(ash|ASH)";

/// Roads and buildings that a sentence can end with.
pub(super) const STREETS: &str = "~bldg|blvd|ct|est|rd|rt|sq";

/// Kinds of firms that a sentence can end with.
pub(super) const FIRMS: &str = "~assn|bhd|bros|co|corp|cos|inc|intl|ltd|plc|ppte|ppty|pte|ptes|pty|ptys|univ";

/// Other abbreviations that a sentence can end with.
pub(super) const OTHERS: &str = "~al|esq|etc|ext|jr|seq|sr|sys|tel";

/// Titles and first names, which a sentence does not end with.
pub(super) const TITLES: &str = "~adm|alex|atty|brig|capt|cmdr|col|cpl|det|dr|drs|ens|gen|gov|govs|hon|insp|jos|lieut|lt|maj|messrs|mlle\
    |mme|mr|mrs|ms|msgr|pfc|pres|prof|pvt|rep|reps|rev|sen|sens|sfc|sgt|spc|st|ste|supt|treas|wm";

/// Other abbreviations that a sentence does not end with.
pub(super) const THINGS: &str = "~adj|adv|assoc|asst|ave|cf|cie|dept|elec|ft|invt|mfg|mt|mtg|natl|ph|vs";

/// Abbreviations only before a number.
pub(super) const NUMBERED: &str = "~art|ca|figs?|nos?|op|pp|prop";

/// Words that begin a sentence after initials.
pub(super) const BEGINNING: &str = "A|A(bout|BOUT)|A(ccording|CCORDING)|A(dditionally|DDITIONALLY)|A(fter|FTER)|A(n|N)|A(s|S)|A(t|T)|B(ut|UT)\
    |E(arlier|ARLIER)|H(e|E)|H(er|ER)|H(ere|ERE)|H(owever|OWEVER)|I(f|F)|I(n|N)|I(t|T)|L(ast|AST)|M(any|ANY)\
    |M(ore|ORE)|N(ow|OW)|O(nce|NCE)|O(ne|NE)|O(ther|THER)|O(ur|UR)|S(he|HE)|S(ince|INCE)|S(o|O)|S(ome|OME)\
    |S(uch|UCH)|T(hat|HAT)|T(he|HE)|T(heir|HEIR)|T(hen|HEN)|T(here|HERE)|T(hese|HESE)|T(hey|HEY)|T(his|HIS)\
    |W(e|E)|W(hat|HAT)|W(hen|HEN)|W(hile|HILE)|Y(et|ET)|Y(ou|OU)";
