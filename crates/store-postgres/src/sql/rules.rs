//! Holds the statements to what a distributed PostgreSQL takes (`guides/scale.md`), by reading them as it would: every hot one
//! names one bucket by equality in each table it touches, takes the time as a parameter, and every unique key of a table
//! with buckets begins with the bucket.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use sqlparser::{
    ast::{
        ColumnOption, ConflictTarget, CreateTable, Delete, Expr, FromTable, IndexColumn, Insert, Join, JoinConstraint,
        JoinOperator, OnInsert, Query, Select, SelectItem, SetExpr, Statement, TableConstraint, TableFactor,
        TableWithJoins, Update, UpdateTableFromKind, Visit, Visitor,
    },
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use super::{arrival, cold, hot, node, page, plan, quota, read, recover};
use crate::schema::{MIGRATIONS, TABLES};

/// Statements that run per message, parcel, page or look.
const HOT: [(&str, &[(&str, &str)]); 5] =
    [("hot", hot::ALL), ("page", page::ALL), ("quota", quota::ALL), ("read", read::ALL), ("recover", recover::ALL)];

/// Statements that run now and then, or are about tables that every node has.
const COLD: [(&str, &[(&str, &str)]); 4] =
    [("arrival", arrival::ALL), ("cold", cold::ALL), ("node", node::ALL), ("plan", plan::ALL)];

/// What a distributed engine refuses in a statement that joins, or what makes an answer depend on when it was asked.
const NOT_OF_PARAMETERS: [&str; 13] = [
    "clock_timestamp",
    "current_timestamp",
    "gen_random_uuid",
    "localtimestamp",
    "nextval",
    "now",
    "pg_notify",
    "random",
    "setval",
    "statement_timestamp",
    "timeofday",
    "transaction_timestamp",
    "uuid_generate_v4",
];

fn parsed(sql: &str) -> Result<Vec<Statement>, String> {
    Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| format!("cannot be read: {error}"))
}

/// The tables with buckets, and what is wrong with the keys of any.
fn tables_with_buckets() -> (BTreeSet<String>, BTreeSet<String>, Vec<String>) {
    let (mut all, mut with) = (BTreeSet::new(), BTreeSet::new());
    let mut keys: Vec<(String, Vec<String>)> = Vec::new();
    for migration in MIGRATIONS {
        for statement in parsed(migration.sql).expect("the schema can be read") {
            match statement {
                Statement::CreateTable(table) => {
                    let name = table.name.to_string();
                    if table.columns.iter().any(|column| column.name.value == "bucket") {
                        with.insert(name.clone());
                    }
                    keys.extend(keys_of(&table).into_iter().map(|key| (name.clone(), key)));
                    all.insert(name);
                }
                Statement::CreateIndex(index) if index.unique => {
                    keys.push((index.table_name.to_string(), names(&index.columns)));
                }
                _ => {}
            }
        }
    }
    let is_apart = |(table, key): &&(String, Vec<String>)| {
        with.contains(table) && key.first().is_none_or(|first| first != "bucket")
    };
    let wrong = keys.iter().filter(is_apart).map(|(table, key)| format!("{table} {key:?}")).collect();
    (all, with, wrong)
}

fn keys_of(table: &CreateTable) -> Vec<Vec<String>> {
    let mut keys = Vec::new();
    for column in &table.columns {
        let is_key = |option: &ColumnOption| matches!(option, ColumnOption::PrimaryKey(_) | ColumnOption::Unique(_));
        if column.options.iter().any(|option| is_key(&option.option)) {
            keys.push(vec![column.name.value.clone()]);
        }
    }
    for constraint in &table.constraints {
        match constraint {
            TableConstraint::PrimaryKey(key) => keys.push(names(&key.columns)),
            TableConstraint::Unique(key) => keys.push(names(&key.columns)),
            _ => {}
        }
    }
    keys
}

fn names(columns: &[IndexColumn]) -> Vec<String> {
    columns.iter().map(|column| column.column.expr.to_string()).collect()
}

/// What a hot statement must not say.
fn objections(sql: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let statements = match parsed(sql) {
        Ok(statements) => statements,
        Err(why) => return vec![why],
    };
    let mut judge = Judge { tables, said: Vec::new() };
    for statement in &statements {
        let _: ControlFlow<()> = statement.visit(&mut judge);
    }
    judge.said
}

struct Judge<'a> {
    tables: &'a BTreeSet<String>,
    said: Vec<String>,
}

impl Visitor for Judge<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.sources(&select.from, select.selection.as_ref());
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Query(_) => {}
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            other => self.said.push(format!("no statement of a store: {other}")),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let is_bucket = |expr: &Expr| expr.to_string().rsplit('.').next() == Some("bucket");
        match expr {
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if NOT_OF_PARAMETERS.contains(&name.as_str()) || name.starts_with("pg_") && name.contains("advisory") {
                    self.said.push(format!("calls {name}"));
                }
            }
            Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } if is_bucket(left) => {
                self.said.push(format!("several buckets: {expr}"))
            }
            Expr::InList { expr: left, .. }
            | Expr::InSubquery { expr: left, .. }
            | Expr::Between { expr: left, .. }
                if is_bucket(left) =>
            {
                self.said.push(format!("several buckets: {expr}"));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Judge<'_> {
    /// Each table that is read must be held to the bucket, by the WHERE or by the ON of its own join.
    fn sources(&mut self, from: &[TableWithJoins], selection: Option<&Expr>) {
        let is_only = from.len() == 1 && from.iter().all(|source| source.joins.is_empty());
        let by_where = selection.map(conjuncts).unwrap_or_default();
        for source in from {
            self.source(&source.relation, &by_where, is_only);
            for join in &source.joins {
                let mut held = by_where.clone();
                held.extend(on(join).map(conjuncts).unwrap_or_default());
                self.source(&join.relation, &held, false);
            }
        }
    }

    fn source(&mut self, factor: &TableFactor, held: &BTreeSet<String>, is_only: bool) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } if self.tables.contains(&name.to_string()) => {
                let called = alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.name.value.clone());
                let is_held =
                    held.contains(&format!("{called}.bucket = $1")) || is_only && held.contains("bucket = $1");
                if !is_held {
                    self.said.push(format!("{name} {called} without {called}.bucket = $1"));
                }
            }
            TableFactor::NestedJoin { .. } => {
                self.said.push(format!("joins in parentheses, which this does not read: {factor}"))
            }
            _ => {}
        }
    }

    fn update(&mut self, update: &Update) {
        let mut from = vec![update.table.clone()];
        match &update.from {
            Some(UpdateTableFromKind::AfterSet(more) | UpdateTableFromKind::BeforeSet(more)) => {
                from.extend(more.iter().cloned())
            }
            None => {}
        }
        self.sources(&from, update.selection.as_ref());
        if update.assignments.iter().any(|assignment| assignment.target.to_string() == "bucket") {
            self.said.push("moves rows to another bucket".to_owned());
        }
    }

    fn delete(&mut self, delete: &Delete) {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let from: Vec<TableWithJoins> = from.iter().chain(delete.using.iter().flatten()).cloned().collect();
        self.sources(&from, delete.selection.as_ref());
    }

    fn insert(&mut self, insert: &Insert) {
        let table = insert.table.to_string();
        if !self.tables.contains(&table) {
            return;
        }
        let is_bucket_first = insert.columns.first().is_some_and(|column| column.to_string() == "bucket");
        if !is_bucket_first || !insert.source.as_deref().is_some_and(|source| self.gives_the_bucket_first(source)) {
            self.said.push(format!("{table} without $1 for its first column, the bucket"));
        }
        if let Some(OnInsert::OnConflict(conflict)) = &insert.on {
            let is_held = match &conflict.conflict_target {
                // Whichever key it is, it begins with the bucket.
                None => true,
                Some(ConflictTarget::Columns(columns)) => {
                    columns.first().is_some_and(|column| column.value == "bucket")
                }
                Some(ConflictTarget::OnConstraint(_)) => false,
            };
            if !is_held {
                self.said.push(format!("{table} with a conflict of a key without the bucket"));
            }
        }
    }

    /// The bucket comes from `$1`, or from what a part of the same statement has taken out of a table, which was held to it.
    fn gives_the_bucket_first(&self, source: &Query) -> bool {
        let is_parameter = |expr: &Expr| expr.to_string() == "$1";
        match source.body.as_ref() {
            SetExpr::Values(values) => values.rows.iter().all(|row| row.first().is_some_and(is_parameter)),
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
                    is_parameter(expr)
                        || is_column(expr, "bucket") && !select.from.iter().any(|source| self.is_stored(source))
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn is_stored(&self, source: &TableWithJoins) -> bool {
        let is_parted = |factor: &TableFactor| match factor {
            TableFactor::Table { name, args: None, .. } => TABLES.contains(&name.to_string().as_str()),
            _ => true,
        };
        is_parted(&source.relation) || source.joins.iter().any(|join| is_parted(&join.relation))
    }
}

fn is_column(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Identifier(only) => only.value == name,
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|last| last.value == name),
        _ => false,
    }
}

/// What must all be true, each as text.
fn conjuncts(expr: &Expr) -> BTreeSet<String> {
    match expr {
        Expr::BinaryOp { left, op, right } if op.to_string() == "AND" => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        Expr::Nested(inner) => conjuncts(inner),
        other => BTreeSet::from([other.to_string()]),
    }
}

fn on(join: &Join) -> Option<&Expr> {
    use JoinOperator::{Inner, Join, Left, LeftOuter};
    match &join.join_operator {
        Join(JoinConstraint::On(on))
        | Inner(JoinConstraint::On(on))
        | Left(JoinConstraint::On(on))
        | LeftOuter(JoinConstraint::On(on)) => Some(on),
        _ => None,
    }
}

#[test]
fn every_hot_statement_names_one_bucket() {
    let (_, tables, _) = tables_with_buckets();
    let mut said = BTreeMap::new();
    for (list, statements) in HOT {
        for (name, sql) in statements {
            let objections = objections(sql, &tables);
            if !objections.is_empty() {
                said.insert(format!("{list}::{name}"), objections);
            }
        }
    }
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn every_other_statement_can_be_read() {
    for (list, statements) in COLD {
        for (name, sql) in statements {
            parsed(sql).unwrap_or_else(|why| panic!("{list}::{name} {why}"));
        }
    }
}

#[test]
fn every_list_of_statements_is_read() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sql");
    let files = std::fs::read_dir(here).expect("the directory").map(|entry| entry.expect("a file").path());
    let stem = |path: std::path::PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let files: BTreeSet<String> =
        files.filter_map(stem).filter(|stem| !["plans", "rules"].contains(&stem.as_str())).collect();
    let read: BTreeSet<String> = HOT.iter().chain(&COLD).map(|(list, _)| (*list).to_owned()).collect();
    assert_eq!(files, read);
}

#[test]
fn every_unique_key_begins_with_the_bucket() {
    let (all, with, wrong) = tables_with_buckets();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(with.contains("delivery") && with.contains("message") && !with.contains("node"), "{with:?}");
    assert_eq!(
        all,
        TABLES.iter().map(|table| (*table).to_owned()).collect(),
        "what is known of another program's tables"
    );
}

#[test]
fn refuses_what_a_distributed_engine_refuses() {
    let (_, tables, _) = tables_with_buckets();
    for (sql, says) in [
        ("SELECT d.id FROM delivery d WHERE d.id = $2", "delivery d without"),
        ("SELECT id FROM delivery WHERE bucket = $2", "delivery delivery without"),
        ("SELECT d.id FROM delivery d WHERE d.bucket = $1 OR d.id = $2", "delivery d without"),
        ("SELECT d.id FROM delivery d WHERE d.bucket = ANY ($1)", "several buckets"),
        ("SELECT d.id FROM delivery d WHERE d.bucket IN ($1, $2)", "several buckets"),
        ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.bucket BETWEEN $2 AND $3", "several buckets"),
        (
            "SELECT d.id FROM delivery d WHERE d.id = ANY ($1) ORDER BY d.id FOR UPDATE SKIP LOCKED",
            "delivery d without",
        ),
        ("SELECT m.id FROM delivery d JOIN message m ON m.id = d.message WHERE d.bucket = $1", "message m without"),
        ("SELECT m.id FROM delivery d, message m WHERE bucket = $1 AND m.bucket = $1", "delivery d without"),
        (
            "SELECT x.id FROM unnest($2::bigint[]) x (id) WHERE EXISTS (SELECT 1 FROM done f WHERE f.id = x.id)",
            "done f without",
        ),
        ("WITH c AS (SELECT d.id FROM delivery d LIMIT 1) SELECT c.id FROM c", "delivery d without"),
        ("UPDATE delivery d SET state = 1 FROM unnest($1::bigint[]) x (id) WHERE d.id = x.id", "delivery d without"),
        ("UPDATE delivery d SET bucket = 3 WHERE d.bucket = $1 AND d.id = $2", "another bucket"),
        ("UPDATE delivery d SET due = 0 WHERE d.bucket = $1 AND d.due < extract(epoch FROM now())", "calls now"),
        ("DELETE FROM page p WHERE p.message = $1", "page p without"),
        (
            "DELETE FROM audience a USING expansion e WHERE a.bucket = $1 AND a.message = e.message",
            "expansion e without",
        ),
        ("WITH d AS (DELETE FROM delivery w RETURNING w.*) SELECT d.id FROM d", "delivery w without"),
        ("INSERT INTO page (message, bucket, first, last) VALUES ($2, $1, $3, $4)", "page without $1"),
        ("INSERT INTO page (bucket, message, first, last) VALUES ($2, $1, $3, $4)", "page without $1"),
        ("INSERT INTO page VALUES ($1, $2, $3, $4)", "page without $1"),
        (
            "INSERT INTO page (bucket, message, first, last) SELECT x.bucket, 1, 2, 3 FROM unnest($1::int[]) x (bucket)",
            "page without $1",
        ),
        (
            "INSERT INTO depth (bucket, channel, node, lane, ready) VALUES ($1, 1, 1, 1, 1) ON CONFLICT (channel) DO NOTHING",
            "conflict",
        ),
        (
            "INSERT INTO depth (bucket, channel, node, lane, ready) VALUES ($1, 1, 1, 1, 1) ON CONFLICT ON CONSTRAINT depth_pkey DO NOTHING",
            "conflict",
        ),
        ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND d.due <= clock_timestamp()", "calls clock_timestamp"),
        ("SELECT d.id FROM delivery d WHERE d.bucket = $1 AND random() < 0.5", "calls random"),
        ("SELECT nextval('numbers')", "calls nextval"),
        ("SELECT timeofday()", "calls timeofday"),
        ("SELECT pg_advisory_xact_lock($1)", "calls pg_advisory_xact_lock"),
        ("SELECT pg_try_advisory_lock($1)", "calls pg_try_advisory_lock"),
        ("SELECT pg_notify('ready', $1)", "calls pg_notify"),
        ("LISTEN ready", "no statement of a store"),
        ("NOTIFY ready", "no statement of a store"),
        ("SELEC 1", "cannot be read"),
    ] {
        let objections = objections(sql, &tables);
        assert!(objections.iter().any(|said| said.contains(says)), "{sql}: {objections:?}");
    }
}
