//! What the schema depends on and a release or an image may lack: classes, languages, types and options.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use scylla::deserialize::row::DeserializeRow;
use scylla::statement::Consistency::One;

use crate::{Error, Node};

/// A dependency of the schema, and where it is used.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Use {
    /// The keyspace.
    pub keyspace: String,
    /// What uses it there.
    pub by: By,
    /// What is used: a class, a language, a type or an option, as written in the schema.
    pub names: String,
}

/// What in a schema can have a dependency.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum By {
    /// The keyspace itself: the class of its replication strategy.
    Replication,
    /// A table or a view: the class of its compaction strategy.
    Compaction(Relation),
    /// A table or a view: the class of its compressor.
    Compression(Relation),
    /// A table or a view: an option that it sets to something else than the default.
    TableOption(Relation),
    /// A secondary index with a custom class.
    Index(String),
    /// A trigger: its class.
    Trigger {
        /// The table.
        table: String,
        /// Its name.
        name: String,
    },
    /// A function: its language.
    Function {
        /// Its name with the types of its arguments.
        signature: String,
        /// The aggregates that use a function of that name.
        aggregates: Vec<String>,
    },
    /// A column with a type that not every release has.
    Column {
        /// The table or view.
        table: String,
        /// Its name.
        name: String,
    },
    /// A column that was dropped; its type is still in the schema.
    DroppedColumn {
        /// The table.
        table: String,
        /// Its name.
        name: String,
    },
    /// A field of a user-defined type.
    Field {
        /// The user-defined type.
        type_: String,
        /// Its name.
        name: String,
    },
    /// A masked column: its masking function.
    Mask {
        /// The table.
        table: String,
        /// The column.
        name: String,
    },
}

/// A table or a view.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Relation {
    /// A table.
    Table(String),
    /// A materialized view.
    View(String),
}

/// Keyspaces that Cassandra creates anew at each start.
const LOCAL: [&str; 2] = ["system", "system_schema"];
const DOING: &str = "reading the schema";

type Options = BTreeMap<String, String>;
type RelationRow = (String, String, Option<Options>, Option<Options>);
type FunctionRow = (String, String, Option<Vec<String>>, String);
type AggregateRow = (String, String, Option<Vec<String>>, Option<String>, Option<String>);
type FieldsRow = (String, String, Option<Vec<String>>, Option<Vec<String>>);

impl Node {
    /// Everything in the schema of the ring that a release may lack. Reads local tables only.
    pub async fn schema_uses(&self) -> Result<Vec<Use>, Error> {
        // The tables of `system_schema` differ between releases, so read first which columns they have.
        let own = "SELECT table_name, column_name FROM system_schema.columns \
                   WHERE keyspace_name = 'system_schema'";
        let own: BTreeSet<(String, String)> =
            self.rows::<(String, String)>(DOING, own, One).await?.into_iter().collect();
        let mut uses = vec![];
        for (keyspace, replication) in
            self.of::<(String, Options)>("keyspace_name, replication", "keyspaces").await?
        {
            uses.extend(class(&replication).map(|names| Use { keyspace, by: By::Replication, names }));
        }
        for (table, name_column) in [("tables", "table_name"), ("views", "view_name")] {
            self.relations(&own, table, name_column, &mut uses).await?;
        }
        let indexes = "keyspace_name, table_name, index_name, options";
        for (keyspace, _, name, options) in
            self.of::<(String, String, String, Option<Options>)>(indexes, "indexes").await?
        {
            let names = options.and_then(|options| options.get("class_name").cloned());
            uses.extend(names.map(|names| Use { keyspace, by: By::Index(name), names }));
        }
        let triggers = "keyspace_name, table_name, trigger_name, options";
        for (keyspace, table, name, options) in
            self.of::<(String, String, String, Option<Options>)>(triggers, "triggers").await?
        {
            let names = options.as_ref().and_then(class);
            uses.extend(names.map(|names| Use { keyspace, by: By::Trigger { table, name }, names }));
        }
        self.functions(&mut uses).await?;
        self.types(&own, &mut uses).await?;
        uses.retain(|it| !LOCAL.contains(&it.keyspace.as_str()));
        uses.sort();
        Ok(uses)
    }

    async fn relations(
        &self,
        own: &BTreeSet<(String, String)>,
        table: &str,
        name_column: &str,
        uses: &mut Vec<Use>,
    ) -> Result<(), Error> {
        let relation = |name: String| match table {
            "views" => Relation::View(name),
            _ => Relation::Table(name),
        };
        let columns = format!("keyspace_name, {name_column}, compaction, compression");
        for (keyspace, name, compaction, compression) in self.of::<RelationRow>(&columns, table).await? {
            let mut add = |by: fn(Relation) -> By, options: Option<Options>| {
                let names = options.as_ref().and_then(class);
                let by = by(relation(name.clone()));
                uses.extend(names.map(|names| Use { keyspace: keyspace.clone(), by, names }));
            };
            add(By::Compaction, compaction);
            add(By::Compression, compression);
        }
        let has = |option: &&str| own.contains(&(table.to_owned(), (*option).to_owned()));
        // Both are on by default.
        for option in ["allow_auto_snapshot", "incremental_backups"].iter().filter(|it| has(it)) {
            let columns = format!("keyspace_name, {name_column}, {option}");
            for (keyspace, name, on) in self.of::<(String, String, Option<bool>)>(&columns, table).await? {
                if on == Some(false) {
                    let names = (*option).to_owned();
                    uses.push(Use { keyspace, by: By::TableOption(relation(name)), names });
                }
            }
        }
        if has(&"memtable") {
            let columns = format!("keyspace_name, {name_column}, memtable");
            for (keyspace, name, set) in self.of::<(String, String, Option<String>)>(&columns, table).await? {
                if set.is_some_and(|set| !set.is_empty() && set != "default") {
                    let by = By::TableOption(relation(name));
                    uses.push(Use { keyspace, by, names: "memtable".to_owned() });
                }
            }
        }
        Ok(())
    }

    async fn functions(&self, uses: &mut Vec<Use>) -> Result<(), Error> {
        let columns = "keyspace_name, aggregate_name, argument_types, state_func, final_func";
        let aggregates = self.of::<AggregateRow>(columns, "aggregates").await?;
        let columns = "keyspace_name, function_name, argument_types, language";
        for (keyspace, name, arguments, names) in self.of::<FunctionRow>(columns, "functions").await? {
            let made_of_it = aggregates.iter().filter(|(its_keyspace, _, _, state, last)| {
                *its_keyspace == keyspace && [state, last].into_iter().flatten().any(|it| *it == name)
            });
            let aggregates =
                made_of_it.map(|(_, name, arguments, ..)| signature(name, arguments.as_deref())).collect();
            let by = By::Function { signature: signature(&name, arguments.as_deref()), aggregates };
            uses.push(Use { keyspace, by, names });
        }
        Ok(())
    }

    async fn types(&self, own: &BTreeSet<(String, String)>, uses: &mut Vec<Use>) -> Result<(), Error> {
        type Row = (String, String, String, Option<String>);
        let columns = "keyspace_name, table_name, column_name, type";
        for (keyspace, table, name, type_) in self.of::<Row>(columns, "columns").await? {
            let names = type_.filter(|it| is_special(it));
            uses.extend(names.map(|names| Use { keyspace, by: By::Column { table, name }, names }));
        }
        for (keyspace, table, name, type_) in self.of::<Row>(columns, "dropped_columns").await? {
            let names = type_.filter(|it| is_special(it));
            uses.extend(names.map(|names| Use { keyspace, by: By::DroppedColumn { table, name }, names }));
        }
        let fields = "keyspace_name, type_name, field_names, field_types";
        for (keyspace, type_, names, types) in self.of::<FieldsRow>(fields, "types").await? {
            for (name, names) in names.unwrap_or_default().into_iter().zip(types.unwrap_or_default()) {
                if is_special(&names) {
                    let by = By::Field { type_: type_.clone(), name };
                    uses.push(Use { keyspace: keyspace.clone(), by, names });
                }
            }
        }
        if own.iter().any(|(table, _)| table == "column_masks") {
            let columns = "keyspace_name, table_name, column_name, function_name";
            for (keyspace, table, name, names) in self.of::<Row>(columns, "column_masks").await? {
                let by = By::Mask { table, name };
                uses.push(Use { keyspace, by, names: names.unwrap_or_default() });
            }
        }
        Ok(())
    }

    async fn of<R>(&self, columns: &str, table: &str) -> Result<Vec<R>, Error>
    where
        R: for<'row> DeserializeRow<'row, 'row>,
    {
        self.rows(DOING, &format!("SELECT {columns} FROM system_schema.{table}"), One).await
    }
}

fn class(options: &Options) -> Option<String> {
    options.get("class").filter(|class| !class.is_empty()).cloned()
}

/// Custom types (a class name in quotes), and `vector`, which is new in 5.0. Every release has all other types.
fn is_special(type_: &str) -> bool {
    type_.contains('\'') || type_.contains("vector<")
}

fn signature(name: &str, arguments: Option<&[String]>) -> String {
    format!("{}({})", quoted(name), arguments.unwrap_or_default().join(", "))
}

/// Reserved words of CQL, which are names only in quotes.
const RESERVED: &str = "\
     add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop \
     entries execute from full grant if in index infinity insert into is keyspace limit materialized \
     modify nan norecursive not null of on or order primary rename revoke schema select set table to \
     token truncate unlogged update use using view where with";

/// A name as CQL accepts it, in quotes only if it needs them.
pub fn quoted(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && !RESERVED.split(' ').any(|word| word == name)
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { crate::cql::identifier(name) }
}

impl Relation {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Relation::Table(name) | Relation::View(name) => name,
        }
    }
}

/// What has the dependency, in words: `table shop.orders`.
impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyspace = quoted(&self.keyspace);
        match &self.by {
            By::Replication => write!(f, "keyspace {keyspace}"),
            By::Compaction(it) | By::Compression(it) | By::TableOption(it) => {
                let kind = if matches!(it, Relation::View(_)) { "materialized view" } else { "table" };
                write!(f, "{kind} {keyspace}.{}", quoted(it.name()))
            }
            By::Index(name) => write!(f, "index {keyspace}.{}", quoted(name)),
            By::Trigger { table, name } => {
                write!(f, "trigger {} of table {keyspace}.{}", quoted(name), quoted(table))
            }
            By::Function { signature, .. } => write!(f, "function {keyspace}.{signature}"),
            By::Column { table, name } | By::Mask { table, name } => {
                write!(f, "column {} of table {keyspace}.{}", quoted(name), quoted(table))
            }
            By::DroppedColumn { table, name } => {
                write!(f, "dropped column {} of table {keyspace}.{}", quoted(name), quoted(table))
            }
            By::Field { type_, name } => {
                write!(f, "field {} of type {keyspace}.{}", quoted(name), quoted(type_))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_something_is_written_as_cql_takes_it() {
        let said =
            |keyspace: &str, by| Use { keyspace: keyspace.to_owned(), by, names: String::new() }.to_string();
        let table = |name: &str| Relation::Table(name.to_owned());
        assert_eq!(said("shop", By::Compaction(table("orders"))), "table shop.orders");
        assert_eq!(said("Shop", By::Compaction(table("2024"))), r#"table "Shop"."2024""#);
        assert_eq!(said("shop", By::Compaction(table("order"))), r#"table shop."order""#);
        let view = Relation::View("by_day".to_owned());
        assert_eq!(said("shop", By::Compression(view)), "materialized view shop.by_day");
        let trigger = By::Trigger { table: "orders".to_owned(), name: "audit".to_owned() };
        assert_eq!(said("shop", trigger), "trigger audit of table shop.orders");
        let arguments = ["int".to_owned(), "frozen<list<text>>".to_owned()];
        let function = By::Function { signature: signature("Sum", Some(&arguments)), aggregates: vec![] };
        assert_eq!(said("shop", function), r#"function shop."Sum"(int, frozen<list<text>>)"#);
    }

    #[test]
    fn types_of_every_release_are_not_looked_at() {
        let special = is_special;
        assert!(special("vector<float, 3>") && special("frozen<list<frozen<vector<int, 2>>>>"));
        assert!(special("'com.example.Money'"));
        assert!(!special("frozen<map<text, int>>") && !special("frozen<vector>"));
    }
}
