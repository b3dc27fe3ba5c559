//! What watches over mail, made from the configuration.

use std::sync::Arc;

use leafmail::alarm::{Heartbeat, Limits, Roads, Sentry};
use leafmail::config::{Config, RoutePlan, Webhook};
use leafmail::queue::Runner;
use leafmail::spool::DirSpool;
use leafmail::syslog::SystemLog;

/// The sentry beside a runner; `None` where neither a heartbeat nor an alarm is configured.
pub(crate) fn sentry(runner: &Runner<DirSpool>, config: &Config) -> Option<Sentry<DirSpool>> {
    let heartbeat = config.heartbeat.to.clone().map(|to| Heartbeat {
        to,
        from: config.heartbeat.from.clone(),
        interval: config.heartbeat.interval,
        hostname: config.hostname.clone(),
    });
    let roads = Roads {
        command: config.alarm.command.clone(),
        webhook: config.alarm.webhook.as_ref().map(Webhook::reveal).map(str::to_owned),
        syslog: config.alarm.syslog.then(|| SystemLog::Syslog(SystemLog::SYSLOG.into())),
    };
    if heartbeat.is_none() && !roads.is_any() {
        return None;
    }
    Some(Sentry {
        spool: Arc::clone(&runner.spool),
        states: Arc::clone(&runner.states),
        routes: config.routes().into_iter().map(|plan: RoutePlan| plan.name).collect(),
        folder: config.spool.join("routes"),
        heartbeat,
        limits: Limits {
            route_paused: config.alarm.route_paused,
            oldest: config.alarm.oldest,
            repeat: config.alarm.repeat,
        },
        roads,
        host: config.hostname.to_string(),
        observer: Arc::clone(&runner.observer),
        clock: Arc::clone(&runner.clock),
        unsaved: std::sync::Mutex::default(),
    })
}
