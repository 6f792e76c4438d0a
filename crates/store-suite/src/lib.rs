//! What every store must do, as tests against the port alone. A store's own crate says how to open one, how a node that
//! holds one dies, and [`conformance!`] makes a test of each case, each with a database of its own:
//!
//! ```ignore
//! hongyan_store_suite::conformance!(SqliteBench::new());
//! ```
//!
//! | module | cases about |
//! |---|---|
//! | [`accept`] | submitting: one commit, keys, born leased |
//! | [`parcels`] | pages divided into parcels of a bounded size |
//! | [`deliver`] | claiming and settling: leases, parcels |
//! | [`turns`] | whose turn it is: shares, apps, long queues |
//! | [`recovery`] | what a crash leaves behind |
//! | [`time`] | due times and expiry |
//! | [`pages`] | large audiences and cancelling |
//! | [`lots`] | messages that go by several channels |
//! | [`expand`] | what follows in later pages, its time and its place |
//! | [`schedule`] | what waits for its time: listed, hastened, cancelled; what a businessId names |
//! | [`directory`] | changes of people, departments, posts and roles |
//! | [`members`] | finding people and groups: pages, trees, members, addresses |
//! | [`inbox`] | what people find in their inbox and do with it; tokens |
//! | [`broadcasts`] | items for everybody |
//! | [`declare`] | what is declared outside plans |
//! | [`keep`] | declarations, people, notes, captures, retention, counters |
//! | [`limits`] | windows of an hour and a day, paces; random histories of them, caps included |
//! | [`caps`] | how often one key may draw |
//! | [`custody`] | access tokens: who fetches, what is kept |
//! | [`secrets`] | secrets in what messages say, and their erasure |
//! | [`doubts`] | deliveries whose outcome nobody knows |
//! | [`accounts`] | accounts of the token API, and their tokens |
//! | [`admission`] | what accounts may send, counted in the commit that stores it and given back where it fails |
//! | [`history`] | what accounts have sent: pages, filters, totals |
//! | [`followers`] | tags of those who follow official accounts |
//! | [`model`] | random histories against a small model |
//!
//! Tests that need a PostgreSQL server have one by [`postgres`].
//!
//! This crate is used by tests only: what does not hold panics.

use std::sync::Arc;

use async_trait::async_trait;
use hongyan_core::store::Store;

pub mod accept;
pub mod accounts;
pub mod admission;
pub mod broadcasts;
pub mod caps;
pub mod custody;
pub mod declare;
pub mod deliver;
pub mod directory;
pub mod doubts;
pub mod expand;
pub mod followers;
pub mod history;
pub mod inbox;
pub mod keep;
pub mod limits;
pub mod lots;
pub mod members;
pub mod model;
mod order;
pub mod pages;
pub mod parcels;
pub mod postgres;
pub mod recovery;
pub mod schedule;
pub mod secrets;
pub mod time;
pub mod turns;
mod world;

pub use order::sample;
pub use world::finish;

/// One database, and how nodes come and go on it.
#[async_trait]
pub trait Bench: Send + Sync {
    /// Opens the database as a node does when it starts. At most one node has it open, or several where it
    /// [has many](Bench::has_many_nodes).
    async fn open(&self) -> Arc<dyn Store>;

    /// The node dies: nothing that it holds is settled or given back.
    async fn crash(&self, store: Arc<dyn Store>);

    /// Whether a database can have several nodes: then another one, opened beside the first, may move what this one asks about.
    fn has_many_nodes(&self) -> bool {
        false
    }
}

/// Makes a test of every case; the argument is an expression for a new [`Bench`].
#[macro_export]
macro_rules! conformance {
    ($bench:expr) => {
        $crate::conformance!(@cases $bench;
            accept: stores_a_request_whole, keeps_attachments, refuses_the_same_id_twice, hands_over_what_is_born_leased, hands_over_no_large_cargo,
                hands_over_after_the_client_hung_up, leaves_ready_what_finds_no_slot, overtakes_nothing_that_waits,
                same_commit_counts_as_waiting, a_node_that_panics_does_not_end_the_store, gives_back_slots_that_were_not_used, remembers_a_key, keeps_the_first_answer_to_a_key, refuses_a_key_with_another_body,
                one_of_many_with_the_same_key_is_stored, forgets_a_key_after_a_day, fails_each_alone, skipped_are_stored_and_not_sent;
            parcels: a_page_is_divided_in_order, skipped_ones_fill_no_parcel, a_parcel_is_due_with_its_latest,
                parcels_are_born_leased_as_far_as_slots_reach, gives_back_the_slots_of_every_parcel, parcels_are_put_off_apart,
                parcels_are_recovered_one_by_one, all_parcels_of_a_message_end, later_pages_are_divided;
            deliver: claims_and_settles, records_every_try, a_late_word_of_an_older_lease_changes_nothing, settling_twice_changes_nothing,
                gives_back_untried, several_events_of_one_delivery_in_one_call, parcels_are_claimed_whole,
                what_is_deferred_of_a_parcel_stays_one_parcel, tells_what_moved, gone_messages_are_no_error, large_content_is_read_apart, large_parcels_go_through,
                a_dropped_claim_is_given_back, outcomes_of_others;
            turns: priorities_share_70_25_5, unused_shares_spill_over, apps_take_turns, long_queues_keep_their_order,
                early_rows_move_the_place_back, channels_are_apart;
            recovery: takes_back_what_was_leased, never_repeats_what_may_have_been_sent, counts_crashes, sends_a_suspect_alone, what_was_not_stored_is_not_in_flight,
                a_suspect_of_a_silent_channel_stalls_nobody, sets_aside_what_kills_the_node_alone, spares_what_is_held_with_others,
                a_finished_try_forgives_crashes, born_leased_survives_a_crash, recovers_only_what_others_left;
            time: waits_until_due, next_due_is_the_first_to_come, expires_on_a_channel_nobody_claims, expires_in_a_long_queue,
                expiry_leaves_what_is_in_flight;
            pages: expands_page_by_page, a_page_behind_the_cursor_is_refused, nobody_is_lost_or_twice_after_a_crash,
                cancels_what_waits, cancelling_ends_the_expansion;
            lots: each_lot_goes_by_its_channel, no_parcel_crosses_lots, channels_are_born_leased_by_themselves,
                gives_back_the_slots_of_every_channel, one_channel_ends_without_the_other, each_channel_recovers_by_its_own_rule;
            expand: what_follows_is_kept_as_it_was_said, waits_for_its_time_to_expand, the_first_to_come_is_expanded_first,
                a_page_from_another_place_is_refused, a_page_of_nobody_moves_the_place, later_pages_go_by_several_channels,
                pages_of_any_bucket_belong_to_their_message, people_are_expanded_once_across_crashes, one_of_many_adds_a_page,
                a_repeat_is_not_expanded;
            schedule: lists_what_waits_for_its_time, filters_select_what_waits, a_scheduled_message_is_hastened,
                waiting_deliveries_are_hastened, a_scheduled_message_is_cancelled, what_waits_outlives_retention,
                messages_are_found_by_business, lists_are_hastened_too;
            directory: keeps_groups_and_people, only_what_differs_is_changed, departments_move,
                refuses_departments_below_themselves, unknown_groups_are_told, large_changes_go_through,
                changes_at_once_do_not_cross, plans_change_the_directory;
            members: people_and_groups_come_in_pages, groups_are_found_by_code, all_below_a_department_are_found_once,
                members_stream_group_by_group, members_go_on_behind_one_who_left, addresses_reach_people;
            inbox: an_item_is_there_once, an_item_says_what_its_channel_says, items_come_in_pages, items_lie_where_they_came,
                one_item_is_read, filters_select_items, marks_change_what_they_say, all_are_marked_until_now, all_are_marked_in_steps, news_come_after_a_moment, tokens_open_one_inbox,
                items_go_with_their_message;
            broadcasts: a_broadcast_is_in_every_inbox, who_was_there_sees_a_broadcast, broadcasts_lie_among_own_items,
                what_was_scheduled_lies_where_it_fired,
                marks_on_broadcasts_are_ones_own, broadcasts_are_marked_until_now, a_broadcast_is_news_when_it_fires,
                a_broadcast_page_may_deliver_too, broadcasts_go_with_their_message;
            declare: declares_from_the_version_that_was_read, numbers_of_the_removed_are_not_given_again, one_of_many_declares,
                plans_and_changes_go_together;
            keep: plans_apply_once, numbers_are_given_once, finds_users, notes_are_kept_once, keeps_the_newest_captures, bounds_the_bytes_of_captures,
                prunes_old_history_and_nothing_open, ids_lie_above_all_that_is_stored, depths_agree_with_the_truth, pings, refuses_when_closed;
            limits: exactly_the_limit_passes_at_once, a_request_passes_whole_or_not, the_same_request_counts_once, the_hour_rolls,
                the_day_turns, gives_back_once, limits_survive_a_crash, accounts_are_apart, tokens_stay_under_the_ceiling;
            caps: exactly_the_cap_counts_at_once, a_key_may_come_twice_in_a_call, every_cap_has_to_have_room,
                what_came_to_nothing_is_given_back, what_counts_is_kept_and_then_forgotten;
            custody: one_fetches_a_token_for_all, one_of_many_has_the_turn, a_turn_that_has_passed_keeps_nothing,
                a_failure_is_waited_out, tokens_of_no_use_are_forgotten, tokens_survive_a_crash;
            secrets: a_secret_is_erased_after_the_last_delivery, every_end_erases_secrets, every_page_has_to_be_done,
                secrets_are_erased_in_steps, what_is_gone_has_no_secrets;
            doubts: a_doubt_names_the_last_try, a_crash_leaves_a_doubt_without_a_provider,
                a_crash_after_another_try_leaves_a_doubt_without_a_provider, doubts_are_listed_in_pages,
                a_receipt_settles_a_doubt, what_was_restored_is_no_doubt;
            accounts: keeps_accounts, names_and_contacts_are_one_accounts, one_of_many_has_a_name, accounts_change,
                a_number_is_never_given_again, tokens_count_until_something_ends_them, tokens_last_their_time,
                a_token_is_kept_for_the_password_that_was_checked;
            admission: exactly_what_fits_is_stored, a_refusal_leaves_nothing, a_repeat_does_not_count,
                what_fails_for_good_is_given_back, each_recipient_is_given_back_once, what_fails_late_counts_nowhere_twice,
                one_account_pays_for_itself;
            history: rows_say_what_happened, accounts_see_their_own, filters_select, the_time_is_that_of_acceptance, totals_follow_what_is_kept,
                selected_rows_are_counted_so_far;
            followers: tags_are_given_once, tags_have_no_gaps, who_left_is_known;
        );
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn random_limits_agree() {
            $crate::limits::random_limits_agree(|| $bench);
        }
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn random_histories_agree() {
            $crate::model::random_histories_agree(|| $bench);
        }
    };
    (@cases $bench:expr; $($module:ident: $($case:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::$module::$case(&$bench).await;
            }
        )+)+
    };
}
