//! The examples, which are programs of their own as well.

#[path = "../../examples/balanced_web_server.rs"]
mod balanced_web_server;
#[path = "../../examples/balancer_in_a_test.rs"]
mod balancer_in_a_test;
#[path = "../../examples/beside_tokio.rs"]
mod beside_tokio;
#[path = "../../examples/custom_policy.rs"]
mod custom_policy;

#[test]
fn a_web_server_balances_itself() {
    balanced_web_server::main().unwrap();
}

#[test]
fn a_policy_and_a_check_of_the_program() {
    custom_policy::main().unwrap();
}

#[test]
fn tasks_of_tokio_are_servers_and_clients() {
    beside_tokio::main().unwrap();
}

#[test]
fn a_balancer_in_a_test() {
    balancer_in_a_test::main().unwrap();
}
