//! Brings a question to a language model over HTTP and what it writes back, unchecked.
//!
//! Any server that speaks `POST /chat/completions` as OpenAI's does: one in the cloud, llama.cpp's or
//! Ollama's on the same host. What is asked and what an answer may do is decided in
//! `hostmedic_reason::advice`; here are only the bounds of one exchange: one at a time, so long, so
//! many bytes, to this one address and nowhere else. `docs/language-model.md` tells operators.

mod client;
mod config;
mod key;

pub use client::{AskError, Client, OpenError};
pub use config::Config;
