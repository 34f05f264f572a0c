//! What an image is made of, beside its bases: known before anything is built, so that what another host made of the very same can be
//! told from what it made of something else.

use larder_store::cancel::Cancel;
use larder_store::descriptor::Platform;
use larder_store::digest::Digest;
use serde_json::json;

use super::Request;
use super::error::{Error, Result};
use crate::build::args::Given;
use crate::build::copy::{Context, From, find};
use crate::build::dockerfile::{self, Copy, Instruction};
use crate::build::plan::{self, Base, Origin};

/// The digest of the Dockerfile, of what it is built with (arguments, stage, labels, network), and of the files of the context that it
/// copies.
pub(crate) fn made_of(request: &Request<'_>, cancel: &Cancel) -> Result<Digest> {
    let file = &request.source.name;
    let dockerfile = dockerfile::parse(&request.source.text)
        .map_err(|problems| Error::Problems { file: file.clone(), problems })?;
    let mut context = None;
    let mut files = Vec::new();
    for step in dockerfile.stages.iter().flat_map(|stage| &stage.steps) {
        let (copy, is_add) = match &step.instruction {
            Instruction::Copy(copy) => (copy, false),
            Instruction::Add(copy) => (copy, true),
            _ => continue,
        };
        if copy.from.is_some() || copy.sources.is_empty() {
            continue;
        }
        // What is a variable, or quoted, may be any of them.
        let is_plain = |word: &String| !word.contains(['$', '"', '\'', '\\', '`']);
        let sources = match copy.sources.iter().all(is_plain) {
            true => copy.sources.clone(),
            false => vec![".".to_owned()],
        };
        let copy = Copy { sources, ..copy.clone() };
        let open = match context.take() {
            Some(open) => open,
            None => Context::open(request.context, request.source.ignore.clone())?,
        };
        let context = context.insert(open);
        files.push(find(From::Context(context), &copy, is_add, cancel)?.digest(cancel)?.to_string());
    }
    let Request { build_args, target, labels, network, .. } = request;
    let text = json!([request.source.text, build_args, target, labels, network, files]);
    Ok(Digest::of(text.to_string().as_bytes()))
}

/// The images that a build begins with or copies from, as written, each once.
pub(crate) fn images(request: &Request<'_>) -> Result<Vec<String>> {
    let wrong = |problems| Error::Problems { file: request.source.name.clone(), problems };
    let dockerfile = dockerfile::parse(&request.source.text).map_err(wrong)?;
    let given = Given::new(request.build_args.clone(), &Platform::host().to_string());
    let plan = plan::plan(&dockerfile, request.target, given).map_err(wrong)?;
    let mut names: Vec<String> = Vec::new();
    for stage in &plan.stages {
        let base = match &stage.base {
            Base::Image(name) => Some(name.clone()),
            Base::Scratch | Base::Stage(_) => None,
        };
        let mut copied = Vec::new();
        for step in &stage.steps {
            match plan.origin(stage.number, step).map_err(|problem| wrong(vec![problem]))? {
                Some(Origin::Image(name)) => copied.push(name),
                Some(Origin::Stage(_)) | None => {}
            }
        }
        for name in base.into_iter().chain(copied) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Ok(names)
}
