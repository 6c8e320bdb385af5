//! The example: a server and a client.

mod check;

use apus::{Channel, Client, Message, Outcome, Request, Server, Writer};
use std::io::{Read, Write};

fn hello(request: Request) -> Outcome {
    let body = format!("Hello, {}!\n", request.param("name").unwrap_or_default());
    Ok(request.text(200, &body)?)
}

fn ticks(writer: Writer, _: Request) -> Outcome {
    for number in 1..=3 {
        writer.event(&number.to_string(), &format!("tick {number}"))?;
    }
    Ok(writer.end()?)
}

fn echo(channel: Channel, message: Message) -> Outcome {
    Ok(channel.send(message)?)
}

fn fail(_: Request) -> Outcome {
    panic!("on purpose")
}

fn serve() -> Outcome {
    let server = Server::new()?;
    server.get("/hello/:name", hello)?;
    server.get("/fail", fail)?;
    server.events("/events", ticks)?;
    server.websocket("/echo", echo)?;
    let port = server.listen("127.0.0.1", 0)?;
    println!("http://127.0.0.1:{port}/");
    // It ends with its input.
    let stopper = server.stopper();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopper.stop();
    });
    Ok(server.run()?)
}

fn get(url: &str) -> Outcome {
    Ok(std::io::stdout().write_all(apus::get(url)?.body())?)
}

fn talk(url: &str, text: &str) -> Outcome {
    let client = Client::new()?;
    let mut socket = client.connect(url)?;
    socket.send(Message::Text(text))?;
    let mut output = socket.recv()?.bytes().to_vec();
    output.push(b'\n');
    std::io::stdout().write_all(&output)?;
    Ok(socket.close()?)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve"] => serve(),
        ["get", url] => get(url),
        ["ws", url, text] => talk(url, text),
        ["gc"] => check::run(),
        _ => Err("usage: example serve | get URL | ws URL TEXT | gc".into()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
