//! `WordPiece`: a text becomes the ids of the pieces of words that the model was trained on.
//!
//! Does what `BertTokenizer` of uncased models does: control characters go, accents go, letters
//! become small, punctuation and Chinese characters stand alone, and each word is cut greedily into
//! the longest pieces that the vocabulary has. Source: `google-research/bert` `tokenization.py`.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::file::ModelError;

/// A longer word is no word; greedy cutting takes time by its square.
const WORD_CHARS_MAX: usize = 100;

/// The pieces of words and their ids: no more than where each piece lies in the model, and the order
/// of the alphabet to find one by. A hash table of 30,000 pieces would take two megabytes.
pub(crate) struct Vocabulary<'a> {
    text: &'a str,
    /// Where each token's line begins, by id; one more at the end.
    starts: Vec<u32>,
    /// All ids, sorted by their tokens.
    sorted: Vec<u16>,
    start: u16,
    end: u16,
    unknown: u16,
}

impl<'a> Vocabulary<'a> {
    /// Reads tokens, one a line.
    pub(crate) fn read((text, count): (&'a [u8], usize)) -> Result<Self, ModelError> {
        const MISCOUNTED: ModelError =
            ModelError::Vocabulary("has not as many different tokens as the header says");
        let text = str::from_utf8(text).map_err(|_| ModelError::Vocabulary("is no UTF-8"))?;
        let mut starts = vec![0];
        for line in text.split('\n') {
            let last = starts.last().copied().unwrap_or(0);
            let next = u32::try_from(line.len() + 1).ok();
            starts.push(
                next.and_then(|next| next.checked_add(last))
                    .ok_or(MISCOUNTED)?,
            );
        }
        let ids = starts.len() - 1;
        let mut sorted: Vec<u16> = (0..=u16::MAX).take(ids).collect();
        let mut vocabulary = Self {
            text,
            starts,
            sorted: Vec::new(),
            start: 0,
            end: 0,
            unknown: 0,
        };
        sorted.sort_unstable_by_key(|id| vocabulary.token(*id));
        let mut neighbours = sorted.windows(2);
        let is_twice = |pair: &[u16]| vocabulary.token(pair[0]) == vocabulary.token(pair[1]);
        if ids != count || sorted.len() != count || neighbours.any(is_twice) {
            return Err(MISCOUNTED);
        }
        vocabulary.sorted = sorted;
        let id = |token| {
            let missing = ModelError::Vocabulary("lacks [CLS], [SEP] or [UNK]");
            vocabulary.id(token).ok_or(missing)
        };
        let (start, end, unknown) = (id("[CLS]")?, id("[SEP]")?, id("[UNK]")?);
        Ok(Self {
            start,
            end,
            unknown,
            ..vocabulary
        })
    }

    /// The text of a token.
    pub(crate) fn token(&self, id: u16) -> Option<&'a str> {
        let at = usize::from(id);
        let (from, next) = (*self.starts.get(at)?, *self.starts.get(at + 1)?);
        self.text.get(from as usize..next as usize - 1)
    }

    /// The id of a token.
    fn id(&self, token: &str) -> Option<u16> {
        let found = self
            .sorted
            .binary_search_by_key(&Some(token), |id| self.token(*id));
        found.ok().map(|at| self.sorted[at])
    }

    /// The ids of a text between the marks of start and end, together at most `count_max`.
    pub(crate) fn tokens(&self, text: &str, count_max: usize) -> Vec<u16> {
        let count_max = count_max.max(2) - 1;
        let mut ids = vec![self.start];
        let mut word = String::new();
        let plain = text
            .chars()
            .filter(|c| !is_dropped(*c))
            .nfd()
            .filter(|c| !is_accent(*c))
            .flat_map(char::to_lowercase);
        for c in plain {
            let alone = is_punctuation(c) || is_chinese(c);
            if alone || c.is_whitespace() {
                self.cut(&word, &mut ids);
                word.clear();
            }
            if alone {
                self.cut(c.encode_utf8(&mut [0; 4]), &mut ids);
            } else if !c.is_whitespace() && word.len() <= 4 * WORD_CHARS_MAX {
                word.push(c);
            }
            if ids.len() >= count_max {
                break;
            }
        }
        if ids.len() < count_max {
            self.cut(&word, &mut ids);
        }
        ids.truncate(count_max);
        ids.push(self.end);
        ids
    }

    /// Appends the pieces of a word, or the one id of a word that cannot be made of pieces.
    fn cut(&self, word: &str, ids: &mut Vec<u16>) {
        if word.chars().count() > WORD_CHARS_MAX {
            ids.push(self.unknown);
            return;
        }
        let before = ids.len();
        let mut rest = word;
        let mut piece = String::new();
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
            let longest = ends.into_iter().find_map(|end| {
                piece.clear();
                if rest.len() < word.len() {
                    piece.push_str("##");
                }
                piece.push_str(&rest[..end]);
                Some((self.id(&piece)?, end))
            });
            let Some((id, end)) = longest else {
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            rest = &rest[end..];
        }
    }
}

/// Control and format characters, and what stands for bytes that were no text.
fn is_dropped(c: char) -> bool {
    c == '\u{fffd}'
        || (c.general_category_group() == GeneralCategoryGroup::Other
            && !matches!(c, '\t' | '\n' | '\r'))
}

/// Marks that take no room of their own; those that do are letters to the model.
fn is_accent(c: char) -> bool {
    c.general_category() == GeneralCategory::NonspacingMark
}

/// The model counts every ASCII sign as punctuation, also those that Unicode calls symbols.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || c.general_category_group() == GeneralCategoryGroup::Punctuation
}

fn is_chinese(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B820..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}
