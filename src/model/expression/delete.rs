//! `del` and `delpaths`, which in jaq do not keep the order of an object's members.

use std::rc::Rc;

use jaq_core::Error;
use jaq_json::{Num, Val};

type Result<T> = std::result::Result<T, Error<Val>>;

/// Removes what the paths point at, the last first, so that no removal moves what is yet to be removed.
pub(super) fn delete_paths(value: Val, paths: Val) -> Result<Val> {
    let mut paths: Vec<_> = elements(paths)?.iter().map(|path| elements(path.clone())).collect::<Result<_>>()?;
    paths.sort();
    paths.dedup();
    paths.iter().rev().try_fold(value, |value, path| delete_path(value, path))
}

fn delete_path(value: Val, path: &[Val]) -> Result<Val> {
    let Some((part, rest)) = path.split_first() else { return Ok(Val::Null) };
    match (value, part) {
        (Val::Null, _) => Ok(Val::Null),
        (Val::Obj(mut members), name @ Val::TStr(_)) => {
            let map = Rc::make_mut(&mut members);
            if rest.is_empty() {
                map.shift_remove(name);
            } else if let Some(member) = map.get_mut(name) {
                *member = delete_path(std::mem::take(member), rest)?;
            }
            Ok(Val::Obj(members))
        }
        (Val::Arr(mut elements), Val::Num(position)) => {
            if let Some(index) = element_index(position, elements.len()) {
                let elements = Rc::make_mut(&mut elements);
                if rest.is_empty() {
                    elements.remove(index);
                } else {
                    elements[index] = delete_path(std::mem::take(&mut elements[index]), rest)?;
                }
            }
            Ok(Val::Arr(elements))
        }
        (Val::Arr(mut elements), Val::Obj(slice)) => {
            let bound = |name: &str, default| match slice.get(&Val::utf8_str(name.to_owned())) {
                Some(Val::Num(position)) => slice_bound(position, elements.len()),
                _ => default,
            };
            let start = bound("start", 0);
            let end = bound("end", elements.len()).max(start);
            let kept = if rest.is_empty() {
                Vec::new()
            } else {
                self::elements(delete_path(elements[start..end].iter().cloned().collect(), rest)?)?.to_vec()
            };
            Rc::make_mut(&mut elements).splice(start..end, kept);
            Ok(Val::Arr(elements))
        }
        (value, part) => Err(Error::index(value, part.clone())),
    }
}

fn elements(value: Val) -> Result<Rc<Vec<Val>>> {
    match value {
        Val::Arr(elements) => Ok(elements),
        other => Err(Error::typ(other, "array")),
    }
}

fn element_index(position: &Num, length: usize) -> Option<usize> {
    let position = position.as_isize()?;
    let index = if position < 0 { length.checked_sub(position.unsigned_abs())? } else { position.unsigned_abs() };
    (index < length).then_some(index)
}

fn slice_bound(position: &Num, length: usize) -> usize {
    match position.as_isize() {
        Some(position) if position < 0 => length.saturating_sub(position.unsigned_abs()),
        Some(position) => position.unsigned_abs().min(length),
        None => length,
    }
}
