//! Numbers along an axis: the range, round ticks, and how a number is written.

/// Numbers this near to a tick, relative to the step, count as on it: as an `f32`, 0.3 is not quite three times 0.1.
const SLACK: f64 = 1e-6;

/// The stretch of numbers an axis shows, linear or logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
    log: bool,
}

/// A tick and what is written beside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

impl Range {
    /// The range of all values that can be shown: finite ones, and positive ones when `log`. One value alone gets some
    /// room on both sides; no value at all gives 0 to 1 (1 to 10 when `log`).
    pub(super) fn of(values: impl Iterator<Item = f32>, log: bool) -> Self {
        let shown = values.map(f64::from).filter(|&v| v.is_finite() && (!log || v > 0.0));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = match (low < high, low == high) {
            (true, _) => (low, high),
            (_, true) if log => (low / 3.0, low * 3.0),
            (_, true) if low == 0.0 => (0.0, 1.0),
            (_, true) => (low - low.abs() / 2.0, low + low.abs() / 2.0),
            _ if log => (1.0, 10.0),
            _ => (0.0, 1.0),
        };
        Self { low, high, log }
    }

    /// The range widened by a part of its length on both sides.
    pub(super) fn padded(self, part: f64) -> Self {
        let (low, high) = (self.scale(self.low), self.scale(self.high));
        let margin = (high - low) * part;
        let back = |v: f64| if self.log { 10f64.powf(v) } else { v };
        Self { low: back(low - margin), high: back(high + margin), ..self }
    }

    /// The range of another length about the same middle.
    pub(super) fn with_length(self, length: f64) -> Self {
        let middle = self.low / 2.0 + self.high / 2.0;
        Self { low: middle - length / 2.0, high: middle + length / 2.0, ..self }
    }

    /// The range widened to the next ticks when there are about `count`.
    pub(super) fn rounded(self, count: usize) -> Self {
        if self.log {
            return self;
        }
        let step = nice_step((self.high - self.low) / count.max(1) as f64);
        Self { low: (self.low / step).floor() * step, high: (self.high / step).ceil() * step, ..self }
    }

    fn scale(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end. `None` for a value that has no place.
    pub(super) fn position(&self, value: f64) -> Option<f32> {
        let (low, high) = (self.scale(self.low), self.scale(self.high));
        let position = (self.scale(value) - low) / (high - low);
        position.is_finite().then_some(position as f32)
    }

    /// At most about `count` ticks at round numbers inside the range.
    pub(super) fn ticks(&self, count: usize) -> Vec<Tick> {
        let count = count.clamp(1, 50);
        let powers = if self.log { self.log_values(count) } else { Vec::new() };
        let mut values = if powers.len() < 2 { self.linear_values(count) } else { powers };
        values.retain(|&value| self.position(value).is_some());
        let step = values.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        let largest = values.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
        // Each power of ten has its own size; evenly spaced numbers share their decimals.
        let uneven = values.windows(2).any(|pair| pair[1] - pair[0] > 1.5 * step);
        let label = |v: f64| if uneven { number(v, v, v) } else { number(v, step.min(largest), largest) };
        values.into_iter().map(|value| Tick { value, label: label(value) }).collect()
    }

    fn linear_values(&self, count: usize) -> Vec<f64> {
        let step = nice_step((self.high - self.low) / count as f64);
        let (first, last) = ((self.low / step - SLACK).ceil(), (self.high / step + SLACK).floor());
        let ticks = (last - first + 1.0) as usize;
        // Adding zero turns -0 into 0.
        (0..ticks.min(2 * count + 1)).map(|i| (first + i as f64) * step + 0.0).collect()
    }

    /// Powers of ten; with 2 and 5 between them where there are few.
    fn log_values(&self, count: usize) -> Vec<f64> {
        let powers = self.log_values_of(&[1.0], count);
        if powers.len() < 3 && count > 2 { self.log_values_of(&[1.0, 2.0, 5.0], count) } else { powers }
    }

    /// Powers of ten inside the range, each times the digits.
    fn log_values_of(&self, digits: &[f64], count: usize) -> Vec<f64> {
        let (low, high) = (self.low.log10(), self.high.log10());
        let stride = ((high - low) / count as f64 - SLACK).ceil().max(1.0) as i32;
        let inside = |v: &f64| (self.low * (1.0 - SLACK)..=self.high * (1.0 + SLACK)).contains(v);
        (low.floor() as i32..=high.ceil() as i32)
            .filter(|exponent| exponent.rem_euclid(stride) == 0)
            .flat_map(|exponent| digits.iter().map(move |digit| digit * 10f64.powi(exponent)))
            .filter(inside)
            .collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `least`.
fn nice_step(least: f64) -> f64 {
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let magnitude = 10f64.powf(least.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * magnitude >= least * (1.0 - SLACK));
    digit.unwrap_or(10.0) * magnitude
}

/// `value` with the decimals that tell apart numbers `step` from each other, among numbers up to `largest`.
fn number(value: f64, step: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    let decimals = |unit: f64| (-(step / unit).log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    for (from, unit, suffix) in [(1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k")] {
        if (from..1e12).contains(&largest) {
            return minus(format!("{:.*}{suffix}", decimals(unit), value / unit));
        }
    }
    if (1e-4..1e12).contains(&largest) {
        return minus(format!("{value:.*}", decimals(1.0)));
    }
    let exponent = largest.log10().floor();
    let unit = 10f64.powf(exponent);
    if !unit.is_normal() {
        return minus(format!("{value:.0e}"));
    }
    minus(format!("{:.*}×10{}", decimals(unit), value / unit, superscript(exponent as i32)))
}

/// A number on its own, with about three digits: 0.432, 43.2, 1,234, 5.2M.
pub(super) fn short(value: f32) -> String {
    let value = f64::from(value);
    if value.is_nan() {
        return "–".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_string();
    }
    let size = value.abs();
    if (1000.0..1e5).contains(&size) {
        let whole = value.abs().round() as u64;
        let sign = if value < 0.0 { "−" } else { "" };
        return format!("{sign}{},{:03}", whole / 1000, whole % 1000);
    }
    let step = 10f64.powf(size.log10().floor() - 2.0);
    let written = number(value, step.max(1e-300), size);
    trim_zeros(&written)
}

/// Numbers side by side, all with as many decimals as the one of them that needs most.
pub(super) fn alike(values: &[f32]) -> Vec<String> {
    let written: Vec<String> = values.iter().map(|&value| short(value)).collect();
    let plain = |number: &String| number.chars().all(|c| c.is_ascii_digit() || "−.–".contains(c));
    if !written.iter().all(plain) {
        return written;
    }
    let decimals = written.iter().map(|number| number.split_once('.').map_or(0, |(_, decimals)| decimals.len())).max();
    let pad = |value: f32| minus(format!("{value:.*}", decimals.unwrap_or(0)));
    values.iter().zip(written).map(|(&value, short)| if value.is_finite() { pad(value) } else { short }).collect()
}

/// A number to a hundredth of the range it is shown in.
pub(super) fn within(value: f32, [low, high]: [f32; 2]) -> String {
    if !value.is_finite() {
        return short(value);
    }
    let [low, high] = [low, high].map(f64::from);
    number(value.into(), nice_step((high - low) / 100.0), low.abs().max(high.abs()).max(f64::from(value).abs()))
}

/// 0.500 as 0.5; a suffix stays.
fn trim_zeros(written: &str) -> String {
    let end = written.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '−')).unwrap_or(written.len());
    let (digits, suffix) = written.split_at(end);
    if !digits.contains('.') {
        return written.to_string();
    }
    format!("{}{suffix}", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn minus(written: String) -> String {
    match written.strip_prefix('-') {
        Some(digits) => format!("−{digits}"),
        None => written,
    }
}

fn superscript(exponent: i32) -> String {
    let raised = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32('⁰' as u32 + digit as u32 - '0' as u32).unwrap_or(digit),
    };
    exponent.to_string().chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(values: &[f32], log: bool, count: usize) -> Vec<String> {
        Range::of(values.iter().copied(), log).ticks(count).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&[0.0, 1.0], false, 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"].map(String::from));
        assert_eq!(labels(&[0.0, 30.0], false, 4), ["0", "10", "20", "30"]);
        assert_eq!(labels(&[-3.0, 3.0], false, 4), ["−2", "0", "2"]);
        assert_eq!(labels(&[0.0, 20_000.0], false, 4), ["0", "5k", "10k", "15k", "20k"]);
        assert_eq!(labels(&[0.0, 2e6], false, 4), ["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
        assert_eq!(labels(&[0.0, 4e-7], false, 2), ["0", "2×10⁻⁷", "4×10⁻⁷"]);
        assert_eq!(labels(&[1900.0, 2000.0], false, 2), ["1900", "1950", "2000"]);
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        assert_eq!(labels(&[0.001, 100.0], true, 6), ["0.001", "0.01", "0.1", "1", "10", "100"]);
        assert_eq!(labels(&[1.0, 10.0], true, 6), ["1", "2", "5", "10"]);
        assert_eq!(labels(&[0.13, 6.0], true, 4), ["0.2", "0.5", "1", "2", "5"]);
        assert_eq!(labels(&[1.0, 1.5], true, 4), ["1.0", "1.2", "1.4"].map(String::from));
        assert_eq!(labels(&[1e-30, 1e30], true, 4), ["1×10⁻³⁰", "1×10⁻¹⁵", "1", "1×10¹⁵", "1×10³⁰"]);
    }

    #[test]
    fn one_value_gets_room_and_none_a_default() {
        assert_eq!(Range::of([2.0].into_iter(), false), Range { low: 1.0, high: 3.0, log: false });
        assert_eq!(Range::of([f32::NAN, f32::INFINITY].into_iter(), false), Range { low: 0.0, high: 1.0, log: false });
        assert_eq!(Range::of([-1.0, 0.0].into_iter(), true), Range { low: 1.0, high: 10.0, log: true });
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let cases = [
            (0.0, "0"),
            (0.5, "0.5"),
            (0.4321, "0.432"),
            (43.21, "43.2"),
            (-0.25, "−0.25"),
            (999.0, "999"),
            (1234.4, "1,234"),
            (-25_000.0, "−25,000"),
            (5.25e6, "5.25M"),
            (1.5e-7, "1.5×10⁻⁷"),
            (f32::NAN, "–"),
            (f32::NEG_INFINITY, "−∞"),
        ];
        for (value, want) in cases {
            assert_eq!(short(value), want);
        }
    }

    #[test]
    fn numbers_side_by_side_have_the_same_decimals() {
        assert_eq!(alike(&[8.3, 24.0, f32::NAN, -5.01]), ["8.30", "24.00", "–", "−5.01"]);
        assert_eq!(alike(&[1234.0, 0.5]), ["1,234", "0.5"]);
        assert_eq!([0.0, 0.083, 1.0].map(|v| within(v, [0.0, 1.0])), ["0", "0.08", "1.00"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn ticks_are_few_ordered_inside_and_told_apart(
            a in any::<f32>(), b in any::<f32>(), log: bool, count in 1usize..12,
        ) {
            let range = Range::of([a, b].into_iter(), log);
            let ticks = range.ticks(count);
            prop_assert!(ticks.len() <= 3 * count + 1, "{} ticks for {count}", ticks.len());
            let apart = |pair: &[Tick]| pair[0].value < pair[1].value && pair[0].label != pair[1].label;
            prop_assert!(ticks.windows(2).all(apart), "{ticks:?}");
            for tick in &ticks {
                let position = range.position(tick.value).unwrap();
                prop_assert!((-1e-3..=1.001).contains(&position), "{tick:?} at {position}");
            }
        }

        #[test]
        fn any_number_can_be_written(value in any::<f32>()) {
            for written in [short(value), within(value, [-1.0, 1.0]), alike(&[value, 0.5]).remove(0)] {
                prop_assert!((1..20).contains(&written.chars().count()), "{written}");
            }
        }
    }
}
