//! `WordPiece`: a text becomes the ids of the pieces of words that the model was trained on.
//!
//! Does what `BertTokenizer` of uncased models does: control characters go, accents go, letters
//! become small, punctuation and Chinese characters stand alone, and each word is cut greedily into
//! the longest pieces that the vocabulary has. Source: `google-research/bert` `tokenization.py`.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::file::ModelError;

/// A longer word is no word; greedy cutting takes time by its square.
const WORD_CHARS_MAX: usize = 100;

/// The pieces of words and their ids.
pub(crate) struct Vocabulary<'a> {
    ids: HashMap<&'a str, u16>,
    tokens: Vec<&'a str>,
    start: u16,
    end: u16,
    unknown: u16,
}

impl<'a> Vocabulary<'a> {
    /// Reads tokens, one a line.
    pub(crate) fn read((text, count): (&'a [u8], usize)) -> Result<Self, ModelError> {
        let text = str::from_utf8(text).map_err(|_| ModelError::Vocabulary("is no UTF-8"))?;
        let tokens: Vec<_> = text.split('\n').collect();
        let ids: HashMap<_, _> = tokens.iter().copied().zip(0..=u16::MAX).collect();
        if tokens.len() != count || ids.len() != count {
            return Err(ModelError::Vocabulary(
                "has not as many different tokens as the header says",
            ));
        }
        let id = |token| {
            let missing = ModelError::Vocabulary("lacks [CLS], [SEP] or [UNK]");
            ids.get(token).copied().ok_or(missing)
        };
        Ok(Self {
            start: id("[CLS]")?,
            end: id("[SEP]")?,
            unknown: id("[UNK]")?,
            ids,
            tokens,
        })
    }

    /// The text of a token.
    pub(crate) fn token(&self, id: u16) -> Option<&'a str> {
        self.tokens.get(usize::from(id)).copied()
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
                Some((*self.ids.get(piece.as_str())?, end))
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
