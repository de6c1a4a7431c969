//! Why deliveries to a subscription fail, in the words of a late attempt.

use super::time;
use crate::cli::client::ServiceClient;
use crate::cli::failure::Failure;
use crate::server::wire::{DeliveryDetail, DeliveryView, LaneStatus, SubscriptionView};

/// For how many subscriptions this is asked at most.
const MOST_ASKED: usize = 5;

/// How many of a subscription's waiting deliveries are looked at, the newest first.
const LOOKED_AT: u16 = 20;

/// Returns a line for each of the first subscriptions whose deliveries fail: when and why an attempt failed.
pub async fn failures(client: &ServiceClient, views: &[SubscriptionView]) -> Result<Vec<String>, Failure> {
    let amiss = views.iter().filter(|view| view.status != LaneStatus::Ok);
    let mut lines = Vec::new();
    for view in amiss.take(MOST_ASKED) {
        lines.extend(last_failure(client, view).await?);
    }
    Ok(lines)
}

async fn last_failure(client: &ServiceClient, view: &SubscriptionView) -> Result<Option<String>, Failure> {
    let waiting = [("subscription", Some(view.name.to_string())), ("state", Some("pending".to_owned()))];
    let waiting = client.list::<DeliveryView>("/v1/deliveries", &waiting, None, LOOKED_AT).await?;
    let Some(attempted) = waiting.data.iter().find(|delivery| delivery.attempts > 0) else { return Ok(None) };
    // It may have been pruned meanwhile.
    let found: Option<DeliveryDetail> = client.find(&format!("/v1/deliveries/{}", attempted.id)).await?;
    let Some(attempt) = found.as_ref().and_then(|found| found.attempts.last()) else { return Ok(None) };
    let Some(failure) = &attempt.failure else { return Ok(None) };
    let name = &view.name;
    // What else is amiss says itself what to do.
    let advice = match view.status {
        LaneStatus::Retrying => format!("; `pollhook subscriptions test {name}` tries it now"),
        _ => String::new(),
    };
    let at = time(Some(attempt.started_at));
    Ok(Some(format!("{name}: attempt {} at {at} failed: {}{advice}", attempt.number, failure.message)))
}
