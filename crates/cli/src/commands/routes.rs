//! `fanfold routes`: what a running server does with which requests.

use serde::Deserialize;

use super::ServerOption;
use crate::client::api::Api;
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
}

pub(super) async fn run(routes: Routes) -> Result<(), Failure> {
    let api = Api::new(routes.server.url);
    let json = api.get("/api/v1/routes").await?;
    if routes.server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let List { routes } = api.parse(&json)?;
    let mut table = Table::new(&["ROUTE", "METHOD", "PATH", "DIALECT", "DOES", "TARGETS"]);
    for route in routes {
        let (does, targets) = match (route.operation, route.pass) {
            (Some(operation), _) => ("operation", operation.targets.join(", ")),
            (None, pass) => ("pass through", pass.unwrap_or_default()),
        };
        table.row([
            Cell::plain(route.name),
            Cell::plain(route.method),
            Cell::plain(route.pattern),
            Cell::plain(route.dialect),
            Cell::plain(does),
            Cell::plain(targets),
        ]);
    }
    Ok(table.print()?)
}
