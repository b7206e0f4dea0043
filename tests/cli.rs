//! The binary as a user meets it: `tests/cli/*.trycmd` are transcripts, run and compared. `TRYCMD=overwrite` writes them anew; read the
//! difference before you accept it.

#[test]
fn transcripts() {
    trycmd::TestCases::new().env("NO_COLOR", "1").case("tests/cli/*.trycmd");
}
