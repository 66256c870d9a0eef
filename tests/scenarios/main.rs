//! What pen does, seen from outside: each module is one behaviour, played on the real program.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod affinity;
mod blacklist;
mod command_line;
mod config_file;
mod control_access;
mod control_commands;
mod control_protocol;
mod daemon;
mod demo;
mod descriptors;
mod diagnostics;
mod exactness;
mod failover;
mod fastclose;
mod geoip;
mod half_close;
mod http_header;
mod idle;
mod idlers;
mod idlers_dead;
mod limits;
mod log_file;
mod log_network;
mod penctl;
mod pile_up;
mod policies;
mod privileges;
mod proxy_from_downstreams;
mod proxy_to_servers;
mod readiness;
mod refusals;
mod reset;
mod statistics;
mod stopping;
mod transfer;
mod udp;
mod udp_failover;
mod udp_limits;
mod udp_report;
mod ways_to_connect;
mod write;
