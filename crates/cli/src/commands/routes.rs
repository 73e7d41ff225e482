//! `fanfold routes`: what a running server does with which requests.

use fanfold_core::plan::Order;
use serde::Deserialize;

use super::ServerOption;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, print_line};

/// `fanfold routes`
#[derive(Debug, clap::Args)]
pub(crate) struct Routes {
    #[command(flatten)]
    server: ServerOption,
}

#[derive(Debug, Deserialize)]
struct List {
    routes: Vec<Route>,
}

/// A route as the server shows it, as far as the table needs it.
#[derive(Debug, Deserialize)]
struct Route {
    name: String,
    dialect: String,
    method: String,
    pattern: String,
    pass: Option<String>,
    operation: Option<Operation>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    targets: Vec<String>,
    selected: String,
    order: Order,
    undo: String,
}

impl Operation {
    /// Its targets, and how they are called.
    fn targets(&self) -> String {
        let targets = self.targets.join(", ");
        if self.selected == "all" { targets } else { format!("selected from {targets}") }
    }

    fn order(&self) -> String {
        match &self.order {
            Order::Parallel => "parallel".to_owned(),
            Order::Sequence => "sequence".to_owned(),
            Order::Waves(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
                format!("waves of {}, the rest", sizes.join(", "))
            }
        }
    }
}

pub(super) async fn run(routes: Routes) -> Result<(), Failure> {
    let api = routes.server.api()?;
    let json = api.get("/api/v1/routes").await?;
    if routes.server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let List { routes } = api.parse(&json)?;
    let mut table = Table::new(&["ROUTE", "METHOD", "PATH", "DIALECT", "DOES", "TARGETS", "ORDER", "UNDO"]);
    for route in routes {
        let none = || "-".to_owned();
        let (does, targets, order, undo) = match (route.operation, route.pass) {
            (Some(operation), _) => ("operation", operation.targets(), operation.order(), operation.undo),
            (None, pass) => ("pass through", pass.unwrap_or_default(), none(), none()),
        };
        table.row([
            Cell::plain(route.name),
            Cell::plain(route.method),
            Cell::plain(route.pattern),
            Cell::plain(route.dialect),
            Cell::plain(does),
            Cell::plain(targets),
            Cell::plain(order),
            Cell::plain(undo),
        ]);
    }
    Ok(table.print()?)
}
