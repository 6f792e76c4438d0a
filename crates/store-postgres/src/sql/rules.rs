//! Holds the statements to what a distributed PostgreSQL takes (`guides/scale.md`), by reading them as it would: every hot one
//! names one bucket by equality in each table it touches, takes the time as a parameter, and every unique key of a table
//! with buckets begins with the bucket.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use sqlparser::{
    ast::{
        Assignment, AssignmentTarget, ColumnOption, ConflictTarget, CreateTable, Cte, Delete, Expr, FromTable, Ident,
        IndexColumn, Insert, Join, JoinConstraint, JoinOperator, ObjectName, OnConflictAction, OnInsert, Query, Select,
        SelectItem, SetExpr, Statement, TableConstraint, TableFactor, TableObject, TableWithJoins, Update,
        UpdateTableFromKind, Visit, Visitor,
    },
    dialect::PostgreSqlDialect,
    parser::Parser,
};

use super::{
    account, arrival, cold, directory, erasure, follower, history, hot, inbox, node, page, plan, quota, read, recover,
    token,
};
use crate::schema::{MIGRATIONS, TABLES};

use self::refused::REFUSED;

mod refused;

/// Statements that run per message, parcel, page or look.
const HOT: [(&str, &[(&str, &str)]); 11] = [
    ("account", account::ALL),
    ("erasure", erasure::ALL),
    ("follower", follower::ALL),
    ("history", history::ALL),
    ("hot", hot::ALL),
    ("inbox", inbox::ALL),
    ("page", page::ALL),
    ("quota", quota::ALL),
    ("read", read::ALL),
    ("recover", recover::ALL),
    ("token", token::ALL),
];

/// Statements that run now and then, or are about tables that every node has.
const COLD: [(&str, &[(&str, &str)]); 5] = [
    ("arrival", arrival::ALL),
    ("cold", cold::ALL),
    ("directory", directory::ALL),
    ("node", node::ALL),
    ("plan", plan::ALL),
];

/// The one exception among the cold lists to "no UPDATE or DELETE asks a volatile function": the leases of nodes are judged by the
/// database's own clock, the only one that all nodes share. What is behind the list's name are its statements; none: all of them.
const BY_THE_DATABASES_CLOCK: [(&str, &[&str]); 2] = [("node", &[]), ("arrival", &["OVERDUE_END"])];

/// What a distributed engine refuses in a statement that joins, or what makes an answer depend on when it was asked.
const NOT_OF_PARAMETERS: [&str; 16] = [
    "clock_timestamp",
    "current_date",
    "current_time",
    "current_timestamp",
    "gen_random_uuid",
    "localtime",
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

/// Texts that PostgreSQL reads as a moment that depends on when it is asked.
const MOVING_TIMES: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

fn parsed(sql: &str) -> Result<Vec<Statement>, String> {
    Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| format!("cannot be read: {error}"))
}

/// The tables with buckets, and what is wrong with the keys of any.
fn tables_with_buckets() -> (BTreeSet<String>, BTreeSet<String>, Vec<String>) {
    let (mut all, mut with) = (BTreeSet::new(), BTreeSet::new());
    let mut keys: Vec<(String, Vec<String>)> = Vec::new();
    for migration in MIGRATIONS {
        for statement in parsed(&migration.sql.replace(" ON ONLY ", " ON ")).expect("the schema can be read") {
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
    let mut judge = Judge { tables, givers: BTreeMap::new(), said: Vec::new() };
    for statement in &statements {
        let _: ControlFlow<()> = statement.visit(&mut judge);
    }
    judge.said
}

struct Judge<'a> {
    tables: &'a BTreeSet<String>,
    /// The named parts of the statement, and whether each gives the bucket of rows that it took out of a table.
    givers: BTreeMap<String, bool>,
    said: Vec<String>,
}

/// A name as PostgreSQL compares it.
fn plain(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// The last part of a name, whatever schema it is said to be in.
fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map_or_else(|| name.to_string(), plain)
}

/// What an expression has that is no matter of parameters.
fn volatile(expr: &Expr) -> Option<String> {
    let text = match expr {
        Expr::Function(function) => {
            let name = last(&function.name);
            let is_volatile =
                NOT_OF_PARAMETERS.contains(&name.as_str()) || name.starts_with("pg_") && name.contains("advisory");
            return is_volatile.then(|| format!("calls {name}"));
        }
        Expr::Value(value) => value.value.clone().into_string()?,
        Expr::TypedString(typed) => typed.value.value.clone().into_string()?,
        _ => return None,
    };
    MOVING_TIMES.contains(&text.trim().to_lowercase().as_str()).then(|| format!("a time that moves: '{text}'"))
}

impl Visitor for Judge<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for part in query.with.iter().flat_map(|with| &with.cte_tables) {
            let gives = self.gives(part);
            // The same name twice gives only if both do.
            self.givers.entry(plain(&part.alias.name)).and_modify(|known| *known &= gives).or_insert(gives);
        }
        ControlFlow::Continue(())
    }

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
        let is_bucket = |expr: &Expr| is_column(expr, "bucket");
        self.said.extend(volatile(expr));
        match expr {
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
            TableFactor::Table { name, alias, args: None, .. } if self.tables.contains(&last(name)) => {
                let called = alias.as_ref().map_or_else(|| last(name), |alias| alias.name.value.clone());
                let is_held =
                    held.contains(&format!("{called}.bucket = $1")) || is_only && held.contains("bucket = $1");
                if !is_held {
                    self.said.push(format!("{} {called} without {called}.bucket = $1", last(name)));
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
        self.assign(&update.assignments);
    }

    fn assign(&mut self, assignments: &[Assignment]) {
        let sets_bucket = |assignment: &Assignment| match &assignment.target {
            AssignmentTarget::ColumnName(name) => last(name) == "bucket",
            AssignmentTarget::Tuple(names) => names.iter().any(|name| last(name) == "bucket"),
        };
        if assignments.iter().any(sets_bucket) {
            self.said.push("moves rows to another bucket".to_owned());
        }
    }

    fn delete(&mut self, delete: &Delete) {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let from: Vec<TableWithJoins> = from.iter().chain(delete.using.iter().flatten()).cloned().collect();
        self.sources(&from, delete.selection.as_ref());
    }

    fn insert(&mut self, insert: &Insert) {
        let table = match &insert.table {
            TableObject::TableName(name) => last(name),
            other => other.to_string(),
        };
        if !self.tables.contains(&table) {
            return;
        }
        let is_bucket_first = insert.columns.first().is_some_and(|column| column.to_string() == "bucket");
        if !is_bucket_first || !insert.source.as_deref().is_some_and(|source| self.gives_the_bucket_first(source)) {
            self.said.push(format!("{table} without $1 for its first column, the bucket"));
        }
        if let Some(OnInsert::OnConflict(conflict)) = &insert.on {
            if let OnConflictAction::DoUpdate(update) = &conflict.action {
                self.assign(&update.assignments);
            }
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
            SetExpr::Select(select) => match (select.projection.first(), select.from.as_slice()) {
                (Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }), _)
                    if is_parameter(expr) =>
                {
                    true
                }
                (Some(SelectItem::UnnamedExpr(expr)), [only]) => {
                    is_column(expr, "bucket") && only.joins.is_empty() && self.is_giver(&only.relation)
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn is_giver(&self, factor: &TableFactor) -> bool {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                name.0.len() == 1
                    && alias.as_ref().is_none_or(|alias| alias.columns.is_empty())
                    && self.givers.get(&last(name)) == Some(&true)
            }
            _ => false,
        }
    }

    /// Whether a part returns the bucket of what it changes in a table with buckets. That the table is held to `$1` is judged
    /// where the part itself is.
    fn gives(&self, part: &Cte) -> bool {
        let (target, returning) = match part.query.body.as_ref() {
            SetExpr::Update(Statement::Update(update)) => (Some(&update.table), &update.returning),
            SetExpr::Delete(Statement::Delete(delete)) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
                (from.first(), &delete.returning)
            }
            _ => return false,
        };
        let Some(TableFactor::Table { name, alias, .. }) = target.map(|target| &target.relation) else { return false };
        let called = alias.as_ref().map_or_else(|| last(name), |alias| plain(&alias.name));
        let returns = |item: &SelectItem| {
            let item = item.to_string().to_lowercase();
            item == format!("{called}.*") || item == format!("{called}.bucket")
        };
        part.alias.columns.is_empty() && self.tables.contains(&last(name)) && returning.iter().flatten().any(returns)
    }
}

fn is_column(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Identifier(only) => plain(only) == name,
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|last| plain(last) == name),
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

/// What the UPDATEs and DELETEs of a statement ask that is volatile: a distributed engine refuses that in any of them.
#[derive(Default)]
struct Changes {
    /// In so many of them the visit is.
    within: usize,
    said: Vec<String>,
}

impl Visitor for Changes {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.within += usize::from(matches!(statement, Statement::Update(_) | Statement::Delete(_)));
        ControlFlow::Continue(())
    }

    fn post_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.within -= usize::from(matches!(statement, Statement::Update(_) | Statement::Delete(_)));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.within > 0 {
            self.said.extend(volatile(expr));
        }
        ControlFlow::Continue(())
    }
}

fn volatile_changes(sql: &str) -> Result<Vec<String>, String> {
    let mut changes = Changes::default();
    for statement in parsed(sql)? {
        let _: ControlFlow<()> = statement.visit(&mut changes);
    }
    Ok(changes.said)
}

#[test]
fn no_other_statement_changes_rows_by_what_is_volatile() {
    let is_exception = |list: &str, name: &str| {
        BY_THE_DATABASES_CLOCK.iter().any(|(of, names)| *of == list && (names.is_empty() || names.contains(&name)))
    };
    for (list, statements) in COLD {
        for (name, sql) in statements {
            let said = volatile_changes(sql).unwrap_or_else(|why| panic!("{list}::{name} {why}"));
            assert!(said.is_empty() || is_exception(list, name), "{list}::{name} {said:?}");
        }
    }
    let nested = "WITH d AS (DELETE FROM note n WHERE n.at < now() RETURNING n.*) SELECT d.at FROM d";
    assert_eq!(volatile_changes(nested), Ok(vec!["calls now".to_owned()]));
    assert_eq!(volatile_changes("UPDATE note SET at = 'now'::timestamptz").map(|said| said.len()), Ok(1));
    assert_eq!(volatile_changes("SELECT clock_timestamp()"), Ok(vec![]));
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
    for (sql, says) in REFUSED {
        let objections = objections(sql, &tables);
        assert!(objections.iter().any(|said| said.contains(says)), "{sql}: {objections:?}");
    }
}
