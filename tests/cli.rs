//! The binary as a user meets it: `tests/cli/*.trycmd` are transcripts, run and compared, and so is each `tests/cli/*.toml` with what it
//! reads and writes beside it. `TRYCMD=overwrite` writes them anew; read the difference before you accept it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

#[test]
fn transcripts() {
    trycmd::TestCases::new().env("NO_COLOR", "1").case("tests/cli/*.trycmd").case("tests/cli/*.toml");
}

/// Every answer of `doorward cel --jsonl` is there before the next question is asked, so that a program can converse with it.
#[test]
fn a_stream_of_expressions_is_answered_line_by_line() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["cel", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut questions = program.stdin.take().expect("its input");
    let mut answers = BufReader::new(program.stdout.take().expect("its output"));
    for number in 0..3 {
        writeln!(questions, "{{\"expr\": \"{number} + 1\"}}").expect("it reads");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("it answers");
        assert_eq!(answer, format!("{{\"expr\":\"{number} + 1\",\"value\":{},\"type\":\"int\",\"cost\":1}}\n", number + 1));
    }
    drop(questions);
    assert_eq!(program.wait().expect("it ends").code(), Some(0));
}
