//! Which functions a thread was in that died in another worker, from its registers, its stack
//! and the files that it had mapped. All of it is hostile: this runs in a worker of its own,
//! confined as one that loads a plugin, and never loads any.

mod library;
mod unwind;

use sandbox::codec::{self, CodecError};
use sandbox::trace::{MAX_NAME, MAX_PLACES, Place, Question};

use library::{Libraries, Name};
use unwind::{Step, Walk};

/// Answers a question, both as sandbox's codec writes them.
///
/// # Errors
/// [`CodecError`].
pub(crate) fn symbolise(question: &[u8]) -> Result<Vec<u8>, CodecError> {
    let question: Question = codec::decode(question)?;
    let mut libraries = Libraries::new(&question.mappings);
    let steps = Walk::new(&question).steps(&mut libraries);
    let mut places = Vec::new();
    for step in steps {
        places.extend(named(step, &mut libraries));
        if places.len() >= MAX_PLACES {
            break;
        }
    }
    places.truncate(MAX_PLACES);
    codec::encode(&places)
}

/// The function of a step, after those that were inlined into it.
fn named(step: Step, libraries: &mut Libraries<'_>) -> Vec<Place> {
    let names = libraries.names(step.lookup());
    let place = |name: Option<Name>| Place {
        address: step.ip,
        inlined: name.as_ref().is_some_and(|name| name.inlined),
        line: name.as_ref().and_then(|name| name.line),
        function: name
            .as_ref()
            .and_then(|name| name.function.as_deref().map(cut)),
        file: name.and_then(|name| name.file).as_deref().map(cut),
        guessed: step.guessed,
    };
    if names.is_empty() {
        return vec![place(None)];
    }
    names.into_iter().map(|name| place(Some(name))).collect()
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
