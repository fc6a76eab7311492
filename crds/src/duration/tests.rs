use proptest::prelude::*;

use super::*;

#[test]
fn durations_read_as_gep_2257_says() {
    let table = [
        ("0h", Some(0)),
        ("0s", Some(0)),
        ("0h0m0s", Some(0)),
        ("1h", Some(3_600_000)),
        ("30m", Some(1_800_000)),
        ("10s", Some(10_000)),
        ("500ms", Some(500)),
        ("2h30m", Some(9_000_000)),
        ("150m", Some(9_000_000)),
        ("7230s", Some(7_230_000)),
        ("1h30m10s", Some(5_410_000)),
        ("10ms500ms", Some(510)),
        ("1m1h", Some(3_660_000)),
        ("99999h59m59s999ms", Some(359_999_999_999)),
        ("", None),
        ("1", None),
        ("1m1", None),
        ("h", None),
        ("1h30m10s20ms50h", None),
        ("999999h", None),
        ("99999h60m", None),
        ("1.5h", None),
        ("-15m", None),
        ("+15m", None),
        ("1d", None),
        ("1H", None),
        ("1 h", None),
        (" 1h", None),
        ("1us", None),
        ("1hé", None),
    ];
    for (text, milliseconds) in table {
        assert_eq!(text.parse::<Duration>().ok().map(Duration::as_millis), milliseconds, "{text}");
    }
}

#[test]
fn a_duration_prints_with_the_largest_units() {
    for (text, printed) in
        [("90s", "1m30s"), ("24h", "24h"), ("150m", "2h30m"), ("0h", "0s"), ("1s5ms", "1s5ms")]
    {
        assert_eq!(text.parse::<Duration>().unwrap().to_string(), printed);
    }
}

#[test]
fn a_text_that_is_no_duration_is_named_with_the_remedy() {
    let error = serde_json::from_str::<Duration>("\"30d\"").unwrap_err().to_string();
    assert!(error.contains("`30d` is not a duration: write hours"), "{error}");
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(milliseconds in 0..100_000 * HOUR) {
        let duration = Duration { milliseconds };
        let text = duration.to_string();
        prop_assert!(text.len() <= MAX_LENGTH);
        prop_assert_eq!(text.parse::<Duration>(), Ok(duration));
        prop_assert_eq!(duration.to_signed().as_millis(), i128::from(milliseconds));
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[0-9hms.é -]{0,30}") {
        if let Ok(duration) = text.parse::<Duration>() {
            prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
        }
    }
}
