//! A running server looks at its files again: a good change is in force, a bad one leaves the set before.
#![expect(clippy::expect_used, reason = "a test that cannot go on says so")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server; ends with the test.
struct Server {
    child: Child,
    admin: String,
}

impl Server {
    fn start(policies: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--reload-every", "1", "--policies"])
            .arg(policies)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = log.lines().map_while(Result::ok);
        let told = lines.find(|line| line.contains("listening on")).expect("the server listens");
        let admin = told.rsplit("http://").next().expect("an address").to_owned();
        // The pipe must not fill up while the server writes.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, admin }
    }

    fn metrics(&self) -> String {
        let mut connection = TcpStream::connect(&self.admin).expect("the admin port answers");
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin).expect("a request");
        let mut text = String::new();
        connection.read_to_string(&mut text).expect("an answer");
        text
    }

    fn until(&self, line: &str) {
        let started = Instant::now();
        loop {
            let metrics = self.metrics();
            if metrics.lines().any(|found| found == line) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "`{line}` never came: {metrics}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn policy(name: &str, expression: &str) -> String {
    format!(
        "apiVersion: doorward.dev/v1alpha1\nkind: IdentityPolicy\nmetadata: {{name: {name}}}\nspec:\n  title: A test\n  severity: low\n  \
         enforcement: Audit\n  rules:\n  - match: {{podTemplate: Any}}\n    validations:\n    - expression: \"{expression}\"\n      message: m\n"
    )
}

#[test]
fn a_bad_file_leaves_the_last_good_set_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    fs::write(file("first.yaml"), policy("first", "true")).expect("a file");
    let server = Server::start(folder.path());
    server.until("doorward_policies_loaded{kind=\"IdentityPolicy\",source=\"file\"} 1");
    server.until("doorward_policy_reload_failures_total 0");

    fs::write(file("second.yaml"), policy("second", "nobody.knows.this")).expect("a file");
    server.until("doorward_policy_reload_failures_total 1");
    server.until("doorward_policies_loaded{kind=\"IdentityPolicy\",source=\"file\"} 1");

    fs::write(file("second.yaml"), policy("second", "true")).expect("a file");
    server.until("doorward_policies_loaded{kind=\"IdentityPolicy\",source=\"file\"} 2");
    server.until("doorward_policy_reload_failures_total 1");
}
