//! Numbers of pages, offsets and totals.

use super::signs::{Member, whole};
use super::tokens::more;
use super::{Proposal, Signs};
use crate::discover::Sureness::{Certain, Doubtful, Likely};

/// The plain names of the number of all items, the clearest first.
const TOTALS: [&str; 24] = [
    "totalcount",
    "totalresults",
    "totalitems",
    "totalelements",
    "totalrecords",
    "totalentries",
    "totalhits",
    "totalrows",
    "totalnumber",
    "totalnumberofrecords",
    "totalsize",
    "numfound",
    "numresults",
    "nbhits",
    "recordstotal",
    "recordcount",
    "resultscount",
    "odatacount",
    "numberofrecords",
    "numbermatched",
    "total",
    "found",
    "count",
    "hits",
];

/// The headers that tell it.
const TOTAL_HEADERS: [&str; 5] = ["x-total-count", "x-total", "x-wp-total", "total-count", "x-pagination-total-count"];

/// The plain names of the number of pages.
const TOTAL_PAGES: [&str; 12] = [
    "totalpages",
    "lastpage",
    "pagecount",
    "numpages",
    "nbpages",
    "numberofpages",
    "pagestotal",
    "totalpage",
    "pagetotal",
    "maxpage",
    "lastpagenumber",
    "pages",
];

/// The plain names of the number of this page.
const PAGE: [&str; 8] =
    ["currentpage", "page", "pagenumber", "pageno", "pagenum", "pageindex", "currentpagenumber", "thispage"];

/// The plain names of how many items a page has.
const SIZES: [&str; 12] = [
    "limit",
    "perpage",
    "pagesize",
    "itemsperpage",
    "resultsperpage",
    "hitsperpage",
    "maxresults",
    "pagelimit",
    "size",
    "rows",
    "take",
    "count",
];

/// The plain names of how many items are before this page.
const OFFSETS: [&str; 8] =
    ["offset", "startat", "startindex", "start", "skip", "firstresult", "startrecord", "startposition"];

/// What addresses number their pages with.
pub(super) const PAGE_PARAMS: [&str; 12] = [
    "page",
    "_page",
    "paged",
    "p",
    "pg",
    "pageNumber",
    "page_number",
    "pageNo",
    "pageNum",
    "page[number]",
    "currentPage",
    "PageNumber",
];

/// What addresses say with how many items they want.
const SIZE_PARAMS: [&str; 16] = [
    "limit",
    "per_page",
    "perPage",
    "page_size",
    "pageSize",
    "_limit",
    "size",
    "rows",
    "count",
    "maxResults",
    "$top",
    "$limit",
    "max_results",
    "page[size]",
    "num",
    "results",
];

/// What addresses say with how many items they want to pass over.
const OFFSET_PARAMS: [&str; 12] = [
    "offset",
    "skip",
    "$skip",
    "$offset",
    "start",
    "startAt",
    "startIndex",
    "start_index",
    "from",
    "page[offset]",
    "resultOffset",
    "startat",
];

/// Returns how many items there are on all pages, and what gives it in the body.
pub(super) fn total(signs: &Signs<'_>) -> Option<(Option<String>, u64)> {
    let members = &signs.members.0;
    let in_body = TOTALS.iter().find_map(|name| {
        let mut named = members.iter().filter(|member| member.plain == *name);
        named.find_map(|member| {
            Some((member, whole(member.value)?)).filter(|(member, total)| is_total(signs, member, *total))
        })
    });
    // Elasticsearch.
    let nested = || {
        members.iter().find_map(|member| {
            let is_it = member.plain == "value" && member.parent == "total";
            Some((member, whole(member.value).filter(|_| is_it)?))
        })
    };
    let found = in_body.or_else(nested).map(|(member, total)| (Some(member.path.clone()), total));
    found.or_else(|| {
        let told = TOTAL_HEADERS.iter().find_map(|name| whole(&signs.header(name)?.into()))?;
        (told >= signs.count).then_some((None, told))
    })
}

/// Returns how many pages there are.
pub(super) fn pages(signs: &Signs<'_>) -> Option<u64> {
    let in_body = signs.members.number(&TOTAL_PAGES).map(|(_, pages)| pages);
    let in_headers = || ["x-wp-totalpages", "x-total-pages"].iter().find_map(|name| whole(&signs.header(name)?.into()));
    in_body.or_else(in_headers)
}

/// Tells whether a number is that of all items: one that is as large as what is here, under a name that others use for what
/// is here, says nothing.
fn is_total(signs: &Signs<'_>, member: &Member<'_>, total: u64) -> bool {
    match member.plain.as_str() {
        "total" if matches!(member.parent.as_str(), "pages" | "shards") => false,
        "count" | "hits" | "found" | "resultscount" | "recordcount" => {
            total > signs.count || total == signs.count && signs.members.has_beside(member, &["next", "previous"])
        }
        _ => total >= signs.count,
    }
}

/// Returns the style of numbered pages.
pub(super) fn numbers(signs: &Signs<'_>) -> Option<Proposal> {
    let asked = PAGE_PARAMS.iter().find_map(|param| Some((*param, signs.asked(param)?.parse::<u64>().ok()?)));
    let number = page_number(signs);
    let pages = signs.members.number(&TOTAL_PAGES).map(|(member, _)| member);
    let pages_in_header = signs.header("x-total-pages").and_then(|text| whole(&text.into()));
    let total = total(signs).and_then(|(path, _)| path);
    let more = more(&signs.members);
    let size = signs.members.number(&SIZES).filter(|(_, size)| *size > 0);
    let is_counted = pages.is_some() || number.is_some() && (total.is_some() || more.is_some());
    let header = signs.header("x-page").and_then(|text| whole(&text.into()));
    let is_numbered =
        pages.is_some() || number.is_some() || asked.is_some() || header.is_some() && pages_in_header.is_some();
    let is_offset = signs.members.number(&OFFSETS).is_some() && number.is_none();
    if !is_numbered || is_offset && asked.is_none() {
        return None;
    }
    let told = PAGE_PARAMS.into_iter().find(|param| signs.is_told(param));
    let param = asked.map(|(param, _)| param).or(told).unwrap_or("page");
    let first = number.as_ref().map(|(_, number)| *number).or(asked.map(|(_, number)| number)).or(header);
    let mut proposal = Proposal::new("page", format!("pages numbered by `{param}`")).key("param", param);
    if first == Some(0) {
        proposal = proposal.key("start", 0);
    }
    let end = if let Some(pages) = pages {
        proposal = proposal.key("total_pages", pages.path.as_str());
        format!("`{}` says how many there are", pages.path)
    } else if let Some((more, _)) = &more {
        proposal = proposal.key("more", more.as_str());
        format!("`{more}` says whether there are more")
    } else if let Some(total) = &total {
        proposal = proposal.key("total", total.as_str());
        format!("`{total}` says how many items there are")
    } else {
        let asked_size = SIZE_PARAMS.iter().find_map(|param| signs.asked(param)?.parse::<u64>().ok());
        let size = asked_size.or(size.map(|(_, size)| size)).or_else(|| whole(&signs.header("x-per-page")?.into()));
        if let Some(size) = size.filter(|size| *size > 0) {
            proposal = proposal.key("size", size);
            format!("a page of fewer than {size} items is the last")
        } else {
            "a page without items is the last".to_owned()
        }
    };
    let where_from = match (asked, told, &number) {
        (Some(_), ..) => "the address has that parameter",
        (None, Some(_), _) => "other addresses in the answer have that parameter",
        (None, None, Some(_)) => "the answer tells the number of its page",
        (None, None, None) => "the answer tells of several pages",
    };
    let is_usual =
        asked.is_some() || told.is_some() || number.as_ref().is_some_and(|(name, _)| is_usual_for_page(name));
    let sureness = match (is_counted, asked.is_some() || told.is_some(), is_usual) {
        (true, true, _) => Certain,
        (true, false, true) | (false, true, _) => Likely,
        _ => Doubtful,
    };
    Some(proposal.because(sureness, format!("{where_from}, and {end}")))
}

/// Returns the number of the page, and what it is called.
fn page_number(signs: &Signs<'_>) -> Option<(String, u64)> {
    let named = signs.members.number(&PAGE).map(|(member, number)| (member.plain.clone(), number));
    // Spring, JSON:API, and others that have an object for it.
    let nested = || {
        let mut in_page = signs.members.0.iter().filter(|member| {
            let spring = member.plain == "number" && signs.members.has_beside(member, &TOTAL_PAGES);
            spring
                || member.plain == "current"
                    && matches!(member.parent.as_str(), "page" | "pages" | "pagination" | "paging")
        });
        in_page.find_map(|member| Some((member.plain.clone(), whole(member.value)?)))
    };
    named.or_else(nested)
}

/// Tells whether an API that calls the number of its page so takes it as `page`.
fn is_usual_for_page(name: &str) -> bool {
    matches!(name, "page" | "currentpage" | "number" | "current")
}

/// Returns the style of offsets.
pub(super) fn offsets(signs: &Signs<'_>) -> Option<Proposal> {
    known_offsets(signs).or_else(|| told_offsets(signs)).or_else(|| asked_offsets(signs))
}

/// Returns the style of an answer that tells its own offset.
fn told_offsets(signs: &Signs<'_>) -> Option<Proposal> {
    let total = total(signs);
    let (member, offset, limit) = OFFSETS.iter().find_map(|name| {
        signs.members.0.iter().filter(|member| member.plain == *name).find_map(|member| {
            let offset = whole(member.value)?;
            let beside = signs.members.beside(member).find(|other| SIZES.contains(&other.plain.as_str()));
            let limit = beside.and_then(|limit| whole(limit.value)).filter(|limit| *limit > 0);
            let is_within = total.as_ref().is_some_and(|(_, total)| offset <= *total);
            (is_within || limit.is_some() && total.is_none()).then_some((member, offset, limit))
        })
    })?;
    let size = size(signs, limit, offset, total.as_ref().map(|(_, total)| *total))?;
    // Of CouchDB's views.
    let is_view = member.plain == "offset" && signs.members.has_at_top("totalrows");
    let asked = OFFSET_PARAMS.into_iter().find(|param| signs.asked(param).is_some());
    let told = OFFSET_PARAMS.into_iter().find(|param| signs.is_told(param));
    let param = asked.or(told).unwrap_or(if is_view { "skip" } else { member.name });
    let mut proposal = Proposal::new("offset", format!("offsets in `{param}`")).key("param", param);
    if offset == 1 && asked.is_none() {
        proposal = proposal.key("start", 1);
    }
    proposal = proposal.key("size", size);
    let (is_ended, end) = match (&total, more(&signs.members)) {
        (_, Some((more, _))) => {
            proposal = proposal.key("more", more.as_str());
            (true, format!("`{more}` says whether there are more"))
        }
        (Some((Some(path), _)), None) => {
            proposal = proposal.key("total", path.as_str());
            (true, format!("`{path}` says how many there are"))
        }
        _ => (false, format!("a page of fewer than {size} items is the last")),
    };
    let sureness = if asked.is_some() || told.is_some() && is_ended { Certain } else { Likely };
    Some(proposal.because(sureness, format!("`{}` says how many items are before this page, and {end}", member.path)))
}

/// Returns how many items a page has: as many as came, where more of them follow.
fn size(signs: &Signs<'_>, limit: Option<u64>, offset: u64, total: Option<u64>) -> Option<u64> {
    let has_more = total.is_some_and(|total| total > offset + signs.count) && signs.count > 0;
    match limit {
        Some(limit) if has_more && limit > signs.count => Some(signs.count),
        Some(limit) => Some(limit),
        None => Some(signs.count).filter(|count| *count > 0),
    }
}

/// Returns the style of an API that is known by the shape of its answers, and does not tell its offset.
fn known_offsets(signs: &Signs<'_>) -> Option<Proposal> {
    let members = &signs.members;
    let has = |names: &[&str]| names.iter().all(|name| members.0.iter().any(|member| member.plain == *name));
    let asked = |param: &str| signs.asked(param)?.parse::<u64>().ok().filter(|size| *size > 0);
    let proposal = |name: &str, param: &str, size_param: &str| {
        let proposal = Proposal::new("offset", format!("offsets in `{param}`")).key("param", param);
        let size = asked(size_param).unwrap_or(signs.count.max(1));
        let proposal = proposal.key("size", size);
        let proposal = if asked(size_param).is_none() { proposal.key("size_param", size_param) } else { proposal };
        proposal.because(Likely, format!("it is an answer of {name}, which takes offsets there"))
    };
    if has(&["took", "timedout", "shards", "hits"]) {
        let (path, _) = total(signs)?;
        return Some(proposal("Elasticsearch", "from", "size").key("total", path?));
    }
    if has(&["numfound", "docs", "start"]) {
        let (member, _) = members.number(&["numfound"])?;
        return Some(proposal("Solr", "start", "rows").key("total", member.path.as_str()));
    }
    if signs.url.path().ends_with("/api/3/action/package_search") {
        return Some(proposal("CKAN", "start", "rows").key("total", ".result.count"));
    }
    if members.named(&["exceededtransferlimit"]).is_some() && has(&["features"]) {
        let (more, _) = more(members)?;
        return Some(proposal("ArcGIS", "resultOffset", "resultRecordCount").key("more", more));
    }
    if signs.header("x-soda2-fields").is_some() {
        return Some(proposal("Socrata", "$offset", "$limit"));
    }
    None
}

/// Returns the style of an address that has an offset.
fn asked_offsets(signs: &Signs<'_>) -> Option<Proposal> {
    let number = |param: &str| signs.asked(param)?.parse::<u64>().ok();
    let (param, _) = OFFSET_PARAMS.iter().find_map(|param| Some((*param, number(param)?)))?;
    let size = SIZE_PARAMS.iter().find_map(|param| number(param)).filter(|size| *size > 0);
    let size = size.or(Some(signs.count).filter(|count| *count > 0))?;
    let proposal = Proposal::new("offset", format!("offsets in `{param}`")).key("param", param).key("size", size);
    Some(match (total(signs).and_then(|(path, _)| path), more(&signs.members)) {
        (_, Some((more, _))) => {
            let because = format!("the address has that parameter, and `{more}` says whether there are more");
            proposal.key("more", more).because(Certain, because)
        }
        (Some(path), None) => {
            let because = format!("the address has that parameter, and `{path}` says how many items there are");
            proposal.key("total", path).because(Certain, because)
        }
        (None, None) => {
            let because = format!("the address has that parameter, and a page of fewer than {size} items is the last");
            proposal.because(Likely, because)
        }
    })
}
