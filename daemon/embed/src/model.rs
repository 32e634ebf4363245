//! The model as its users see it: read it, then give it texts.

use std::sync::LazyLock;

use hostmedic_model::{
    told::{quotations, telling},
    vector::Vector,
};

use crate::{
    clean::clean,
    file::{self, ModelError, Weights},
    kernel::Kernel,
    tokens::Vocabulary,
    transformer,
};

/// How many tokens of a text are read, both ends' marks included. Time grows with them: what an
/// incident is about stands in its first sentences.
pub const TOKENS_MAX: usize = 128;

/// At a multiple of 64, so that no row of weights lies across two cache lines.
#[repr(C, align(64))]
struct Aligned<Bytes: ?Sized>(Bytes);

static SHIPPED: &Aligned<[u8]> = &Aligned(*include_bytes!("../model/all-minilm-l6-v2.hmlm"));

/// SHA-256 of the shipped model: vectors made by another are not comparable.
pub const SHIPPED_SHA256: [u8; 32] = digest_of(include_str!("../model/SHA256SUMS"));

/// The first 64 characters as sha256sum(1) writes them. What they are not is an error of the build.
const fn digest_of(sums: &str) -> [u8; 32] {
    const fn nibble(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("SHA256SUMS does not begin with a checksum"),
        }
    }
    let (digits, mut digest) = (sums.as_bytes(), [0; 32]);
    let mut place = 0;
    while place < digest.len() {
        digest[place] = nibble(digits[2 * place]) << 4 | nibble(digits[2 * place + 1]);
        place += 1;
    }
    digest
}

/// all-MiniLM-L6-v2: text to vector.
pub struct Model<'a> {
    vocabulary: Vocabulary<'a>,
    weights: Weights<'a>,
    kernel: Kernel,
}

impl Model<'static> {
    /// The model that is compiled in, checked at first use.
    ///
    /// # Panics
    /// If the program's own bytes are damaged: the file is what the build's tests have read.
    pub fn shipped() -> &'static Self {
        static MODEL: LazyLock<Model<'static>> = LazyLock::new(|| {
            Model::read(&SHIPPED.0).unwrap_or_else(|error| panic!("the shipped model: {error}"))
        });
        &MODEL
    }

    /// The shipped model on another kernel than the best, or `None` where this processor does not
    /// have it. For tests and comparisons.
    pub fn shipped_on(kernel: Kernel) -> Option<Self> {
        let model = kernel.is_here().then(|| Self::read(&SHIPPED.0).ok())??;
        Some(Self { kernel, ..model })
    }
}

impl<'a> Model<'a> {
    /// Reads a model file; large tables stay where they lie in `bytes`.
    ///
    /// # Errors
    /// The first thing that is not as it must be. What was read can be run without a panic and
    /// gives finite numbers; whether they mean anything only the file's checksum can tell.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let (vocabulary, weights) = file::read(bytes)?;
        Ok(Self {
            vocabulary: Vocabulary::read(vocabulary)?,
            weights,
            kernel: Kernel::best(),
        })
    }

    /// The meaning of `text`, cleaned of what differs between two incidents of one kind.
    ///
    /// Any text may be given: what is read of it is bounded in bytes and by [`TOKENS_MAX`].
    pub fn embed(&self, text: &str) -> Vector {
        self.together(&[self.tokens(&clean(text))])
            .pop()
            .unwrap_or_else(Vector::zero)
    }

    /// The meanings of `texts`, each as [`Self::embed`] gives it, to the last bit, but for many
    /// short texts in two thirds of the time. Memory is that of one long text, whatever their number.
    pub fn embed_all(&self, texts: &[impl AsRef<str>]) -> Vec<Vector> {
        let mut vectors = Vec::with_capacity(texts.len());
        let (mut batch, mut tokens) = (Vec::new(), 0);
        for text in texts {
            let ids = self.tokens(&clean(text.as_ref()));
            if tokens + ids.len() > TOKENS_MAX {
                vectors.extend(self.together(&batch));
                batch.clear();
                tokens = 0;
            }
            tokens += ids.len();
            batch.push(ids);
        }
        vectors.extend(self.together(&batch));
        vectors
    }

    /// The meaning of the words that tell of an incident: half that of all that is [`telling`] of them,
    /// half that of the line of a log they quote. Where they quote none, as [`Self::embed`].
    pub fn embed_incident(&self, text: &str) -> Vector {
        let told = telling(text);
        let quoted = quotations(text).collect::<Vec<_>>().join(" ");
        if quoted.is_empty() {
            return self.embed(&told);
        }
        // A line without words is a vector of zeros, which moves nothing.
        Vector::centroid(&self.embed_all(&[told, quoted]))
    }

    /// The meanings of texts that are tokens, run together.
    fn together(&self, batch: &[Vec<u16>]) -> Vec<Vector> {
        // Both marks and nothing between them: a text without words means nothing.
        let has_words = |ids: &[u16]| ids.len() > 2;
        let spoken: Vec<_> = batch
            .iter()
            .map(Vec::as_slice)
            .filter(|ids| has_words(ids))
            .collect();
        let mut means = transformer::run(&self.weights, &spoken, self.kernel).into_iter();
        let vector = |ids: &Vec<u16>| {
            let mean = has_words(ids).then(|| means.next()).flatten();
            mean.map_or_else(Vector::zero, |mean| Vector::direction_of(&mean))
        };
        batch.iter().map(vector).collect()
    }

    /// The token ids of `text` as it is, between the marks of both ends; at most [`TOKENS_MAX`].
    pub fn tokens(&self, text: &str) -> Vec<u16> {
        self.vocabulary
            .tokens(text, TOKENS_MAX.min(self.weights.positions()))
    }

    /// The text of a token.
    pub fn token(&self, id: u16) -> Option<&str> {
        self.vocabulary.token(id)
    }
}
