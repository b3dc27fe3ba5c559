//! What a person sees: every program and verb in a pseudo-terminal, at 80 and at 120 columns, with and without colour, after
//! success and after each typical mistake. How to write a case is in the head of `tests/support/terminal.rs`.

mod folding;
mod help_on_screen;
mod local_mail;
mod mail_lines;
mod mistakes;
mod passwd;
mod queue_verbs;
mod serving_one;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod verbs_on_screen;
