//! Which test holds which decision and which row of `contracts/push.md`, as far as this dialect answers for it. Read marks and
//! queries by businessId (decisions 2 and 8), page by page expansion (rows 11, 34, 42), cancelling (35) and what a channel makes of a content (parts of 24 and 28) are held where they are done.

/// The decision, and the tests.
const DECISIONS: [(u8, &[&str]); 9] = [
    (
        1,
        &[
            "an_answer_has_exactly_the_documents_members",
            "unknown_paths_and_wrong_methods",
            "a_body_has_a_size",
            "a_store_that_is_away_is_an_internal_error",
        ],
    ),
    (
        2,
        &[
            "unknown_and_disabled_codes_are_told_and_skipped",
            "nobody_left_is_refused",
            "everyone_is_whoever_there_is_when_it_fires",
        ],
    ),
    (
        3,
        &[
            "the_other_kinds",
            "a_mail_is_html_with_a_title_or_the_apps_code",
            "an_item_of_the_inbox_is_cleaned",
            "an_sms_is_text_or_template_or_both",
        ],
    ),
    (4, &["one_scale_of_priorities", "what_is_said_around_a_message"]),
    (5, &["times", "what_is_no_time_and_what_is_too_far", "scheduled_people_are_found_when_it_fires"]),
    (
        6,
        &[
            "the_contracts_vector",
            "a_signature_speaks_for_the_app_and_nothing_else_does",
            "a_signature_is_of_now",
            "a_nonce_counts_once_in_ten_minutes",
            "an_app_calls_from_where_it_may",
        ],
    ),
    (
        7,
        &[
            "the_first_sample_goes_to_people_by_three_channels",
            "the_second_sample_goes_to_accounts_of_each_channel",
            "the_template_sample_goes_once_its_comma_is_mended",
        ],
    ),
    (8, &["what_is_said_around_it_is_kept", "the_first_sample_goes_to_people_by_three_channels"]),
    (9, &["a_mail_is_html_with_a_title_or_the_apps_code"]),
];

/// The row, and the test.
const ROWS: [(u8, &str); 45] = [
    (1, "an_answer_has_exactly_the_documents_members"),
    (2, "templates_and_their_values"),
    (3, "an_app_uses_a_template_only_with_the_right_to_all_its_channels"),
    (4, "unknown_paths_and_wrong_methods"),
    (5, "no_words_are_longer_than_the_document_allows"),
    (6, "the_template_sample_goes_once_its_comma_is_mended"),
    (7, "several_channels_are_one_message"),
    (8, "apps_and_receiver_types"),
    (9, "apps_and_receiver_types"),
    (10, "receivers_of_the_wrong_shape_for_the_type"),
    (11, "everyone_is_whoever_there_is_when_it_fires"),
    (12, "the_first_sample_goes_to_people_by_three_channels"),
    (13, "departments_mean_those_below_unless_the_deployment_says_otherwise"),
    (14, "what_can_be_nobody_fails_alone"),
    (15, "numbers_and_bare_strings_are_codes"),
    (16, "keys_are_codes_or_numbers_and_meet_each_other"),
    (17, "an_account_is_an_address_or_somebody_and_fails_alone"),
    (18, "accounts_are_trimmed_and_each_once"),
    (19, "custom_goes_on_what_both_name"),
    (20, "channels_and_what_is_said_on_them"),
    (21, "websites"),
    (22, "sms_and_the_channels_with_objects"),
    (23, "an_sms_is_text_or_template_or_both"),
    (24, "values_become_texts_in_their_order"),
    (25, "an_sms_is_text_or_template_or_both"),
    (26, "an_sms_is_text_or_template_or_both"),
    (27, "a_mail_is_html_with_a_title_or_the_apps_code"),
    (28, "an_item_of_the_inbox_is_cleaned"),
    (29, "what_is_said_around_it_is_kept"),
    (30, "types_are_any_until_some_are_listed"),
    (31, "one_scale_of_priorities"),
    (32, "what_is_said_around_it_is_kept"),
    (33, "times"),
    (34, "scheduled_people_are_found_when_it_fires"),
    (36, "an_object_under_a_channels_key_speaks_for_that_channel"),
    (37, "templates_and_their_values"),
    (38, "of_a_channel_that_is_not_chosen_nothing_is_asked"),
    (39, "one_set_of_values_serves_all_channels_escaped_by_each"),
    (40, "templates_and_their_values"),
    (41, "a_template_without_variables_needs_no_values_and_has_its_own_type"),
    (43, "named_people_go_at_once_and_each_once"),
    (45, "unknown_paths_and_wrong_methods"),
    (46, "the_type_of_the_content_does_not_count"),
    (47, "named_people_go_at_once_and_each_once"),
    (48, "a_request_names_no_more_than_the_app_may"),
];

/// What is not done: the decision or row, and what of it.
const LEFT: [(&str, &str); 3] = [
    ("row 4", "HTTP statuses are not switchable: what a handler answers is HTTP 200"),
    ("row 44", "duplicate suppression over time is left to a later issue (limits)"),
    ("row 48", "an app has a bound of receivers of its own, but none of bytes: a body is bounded for all alike"),
];

const SOURCES: [&str; 15] = [
    include_str!("bad_input.rs"),
    include_str!("callers.rs"),
    include_str!("contents.rs"),
    include_str!("receivers.rs"),
    include_str!("repeats.rs"),
    include_str!("samples.rs"),
    include_str!("templates.rs"),
    include_str!("transport.rs"),
    include_str!("../../src/envelope.rs"),
    include_str!("../../src/params.rs"),
    include_str!("../../src/problem.rs"),
    include_str!("../../src/send_time.rs"),
    include_str!("../../src/signature.rs"),
    include_str!("../../src/accounts.rs"),
    include_str!("../../src/website.rs"),
];

#[test]
fn every_decision_and_row_has_a_test_that_exists() {
    let exists = |name: &str| SOURCES.iter().any(|source| source.contains(&format!("fn {name}()")));
    for (decision, tests) in DECISIONS {
        assert!(!tests.is_empty());
        for name in tests {
            assert!(exists(name), "decision {decision}: {name}");
        }
    }
    for (row, name) in ROWS {
        assert!(exists(name), "row {row}: {name}");
    }
    let elsewhere = [35, 42];
    let left = (1..=48_u8)
        .filter(|row| LEFT.iter().any(|(what, _)| what.split(", ").any(|what| what == format!("row {row}"))));
    assert!(LEFT.iter().all(|(_, why)| !why.is_empty()));
    let rows: Vec<u8> = ROWS.iter().map(|(row, _)| *row).chain(elsewhere).chain(left).collect();
    assert!((1..=48).all(|row| rows.contains(&row)), "{rows:?}");
}
