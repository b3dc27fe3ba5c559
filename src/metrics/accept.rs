//! In which form a scraper wants the metrics.

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// What the value of `Accept` prefers; Prometheus where it says nothing.
    pub fn preferred(accept: Option<&str>) -> Self {
        let weight = |media: &str| {
            let found = accept.unwrap_or_default().split(',').find_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                if !parts.next()?.eq_ignore_ascii_case(media) {
                    return None;
                }
                let mut weight = 1.0;
                for parameter in parts {
                    let (name, value) = parameter.split_once('=')?;
                    match name.trim().to_ascii_lowercase().as_str() {
                        "q" => weight = value.trim().parse::<f64>().unwrap_or(0.0),
                        // Another version of OpenMetrics is another form.
                        "version" if media.contains("openmetrics") && !matches!(value.trim(), "1.0.0" | "0.0.1") => {
                            return None;
                        }
                        _ => {}
                    }
                }
                Some(weight)
            });
            found.unwrap_or(0.0)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MetricsFormat::{OpenMetrics, Prometheus};
    use super::*;

    #[test]
    fn the_form_is_what_the_scraper_prefers() {
        for (accept, form) in [
            (None, Prometheus),
            (Some("*/*"), Prometheus),
            (Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), OpenMetrics),
            (
                Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"),
                OpenMetrics,
            ),
            (Some("application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.5"), Prometheus),
            (Some("application/openmetrics-text;version=2.0.0,text/plain;q=0.1"), Prometheus),
            (
                Some(
                    "application/openmetrics-text;version=2.0.0;q=0.9,application/openmetrics-text;version=1.0.0;q=0.8",
                ),
                OpenMetrics,
            ),
            (Some("application/openmetrics-text;q=0"), Prometheus),
            (Some("application/openmetrics-text;q=x,\u{0};;=,"), Prometheus),
        ] {
            assert_eq!(MetricsFormat::preferred(accept), form, "{accept:?}");
        }
    }
}
