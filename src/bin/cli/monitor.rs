//! What watches over mail, made from the configuration.

use std::sync::Arc;

use leafmail::alarm::{AlarmThresholds, Channels, Heartbeat, Monitor};
use leafmail::config::{Config, RoutePlan, Webhook};
use leafmail::queue::Runner;
use leafmail::spool::DirSpool;
use leafmail::syslog::SystemLog;

/// The monitor of a runner; `None` where neither a heartbeat nor an alarm is configured.
pub(crate) fn monitor(runner: &Runner<DirSpool>, config: &Config) -> Option<Monitor<DirSpool>> {
    let heartbeat = config.heartbeat.to.clone().map(|to| Heartbeat {
        to,
        from: config.heartbeat.from.clone(),
        interval: config.heartbeat.interval,
        hostname: config.hostname.clone(),
    });
    let channels = Channels {
        command: config.alarm.command.clone(),
        webhook: config.alarm.webhook.as_ref().map(Webhook::reveal).map(str::to_owned),
        syslog: config.alarm.syslog.then(|| SystemLog::Syslog(SystemLog::SYSLOG.into())),
    };
    if heartbeat.is_none() && !channels.is_any() {
        return None;
    }
    Some(Monitor {
        spool: Arc::clone(&runner.spool),
        states: Arc::clone(&runner.states),
        routes: config.routes().into_iter().map(|plan: RoutePlan| plan.name).collect(),
        helpers: config.helper_programs(),
        folder: config.spool.join("routes"),
        heartbeat,
        limits: AlarmThresholds {
            route_paused: config.alarm.route_paused,
            oldest: config.alarm.oldest,
            failed: config.alarm.failed,
            helper_down: config.alarm.helper_down,
            repeat: config.alarm.repeat,
        },
        channels,
        host: config.hostname.to_string(),
        observer: Arc::clone(&runner.observer),
        clock: Arc::clone(&runner.clock),
        unsaved: std::sync::Mutex::default(),
    })
}
