use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;

use super::*;

/// A server that answers a write with its number, and a watch with a line each 50 ms.
struct Server {
    _runtime: Runtime,
    address: SocketAddr,
    served: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        let address = runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new().fallback(answer).with_state(Arc::clone(&served));
            tokio::spawn(async move { axum::serve(listener, router).await });
            address
        });
        Self { _runtime: runtime, address, served }
    }

    fn proxy(&self) -> Proxy {
        let url = format!("http://{}", self.address).parse().unwrap();
        Proxy::start(Config::new(url), 7).unwrap()
    }

    fn served(&self) -> Vec<String> {
        lock(&self.served).clone()
    }
}

async fn answer(State(served): State<Arc<Mutex<Vec<String>>>>, request: Request) -> Response {
    if request.uri().query() == Some("watch=true") {
        let lines = futures::stream::unfold(0, |n| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, std::convert::Infallible>(format!("{n}\n")), n + 1))
        });
        return Response::new(Body::from_stream(lines));
    }
    lock(&served).push(request.uri().path().to_owned());
    Response::new(Body::from("done"))
}

/// Sends a request by hand; the answer is read by its owner.
fn send(proxy: &Proxy, method: &str, path: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]")
        .unwrap();
    BufReader::new(stream)
}

fn first_line(mut answer: BufReader<TcpStream>) -> String {
    let mut line = String::new();
    answer.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn silent(answer: &mut BufReader<TcpStream>, time: Duration) -> bool {
    answer.get_ref().set_read_timeout(Some(time)).unwrap();
    answer.fill_buf().is_err()
}

const A_WHILE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);
const POD: &str = "/api/v1/namespaces/n/pods/p";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/n/leases/l";

fn nth(number: usize) -> Select {
    Arc::new(move |write| write.number == number)
}

#[test]
fn writes_pass_and_are_numbered_without_the_lease() {
    let server = Server::start();
    let proxy = server.proxy();
    for (method, path) in [("PATCH", POD), ("PUT", LEASE), ("GET", POD), ("DELETE", POD)] {
        assert_eq!(first_line(send(&proxy, method, path)), "HTTP/1.1 200 OK");
    }
    assert_eq!(server.served().len(), 4);
    let told: Vec<_> = proxy.writes_after(0).iter().map(|write| (write.to_string(), write.status)).collect();
    assert_eq!(told, [("1: patch pods p".to_owned(), Some(200)), ("2: delete pods p".to_owned(), Some(200))]);
}

#[test]
fn a_cut_before_a_write_keeps_it_from_the_server_for_ever() {
    let server = Server::start();
    let proxy = server.proxy();
    proxy.set(Fault::Cut(When::Before, nth(2)));
    assert_eq!(first_line(send(&proxy, "PATCH", POD)), "HTTP/1.1 200 OK");
    let mut lost = send(&proxy, "PATCH", POD);
    assert_eq!(proxy.cut(PATIENCE).unwrap().number, 2);
    assert!(silent(&mut send(&proxy, "GET", POD), A_WHILE), "nothing passes after the cut");
    proxy.set(Fault::None);
    assert!(silent(&mut lost, A_WHILE));
    assert_eq!(server.served().len(), 1);
    assert_eq!(proxy.writes_after(0)[1].status, None);
}

#[test]
fn a_cut_after_a_write_keeps_only_the_answer() {
    let server = Server::start();
    let proxy = server.proxy();
    proxy.set(Fault::Cut(When::After, nth(1)));
    let mut late = send(&proxy, "PATCH", POD);
    assert_eq!(proxy.cut(PATIENCE).unwrap().number, 1);
    assert_eq!(server.served(), [POD]);
    assert_eq!(proxy.writes_after(0)[0].status, Some(200));
    assert!(silent(&mut late, A_WHILE));
    proxy.set(Fault::None);
    assert!(!silent(&mut late, PATIENCE), "it comes when the proxy speaks again");
}

#[test]
fn a_watch_flows_and_stands_still_while_the_proxy_is_silent() {
    let server = Server::start();
    let proxy = server.proxy();
    let mut watch = send(&proxy, "GET", "/api/v1/pods?watch=true");
    let mut line = String::new();
    while !line.starts_with('3') {
        line.clear();
        // Skip the head and the sizes of the chunks.
        assert_ne!(watch.read_line(&mut line).unwrap(), 0);
    }
    proxy.set(Fault::Silent);
    std::thread::sleep(A_WHILE);
    watch.get_ref().set_read_timeout(Some(A_WHILE)).unwrap();
    let mut rest = String::new();
    assert!(watch.read_to_string(&mut rest).is_err());
    let before = rest.len();
    std::thread::sleep(A_WHILE);
    assert!(watch.read_to_string(&mut rest).is_err());
    assert_eq!(rest.len(), before);
    proxy.set(Fault::None);
    assert!(!silent(&mut watch, PATIENCE));
}

#[test]
fn noise_is_bounded_and_the_same_for_the_same_seed() {
    let server = Server::start();
    let fates = |proxy: &Proxy| -> Vec<Fate> { (0..1000).map(|_| proxy.shared.throw(20, true)).collect() };
    let (one, other) = (fates(&server.proxy()), fates(&server.proxy()));
    assert_eq!(one, other);
    let disturbed = one.iter().filter(|fate| fate.answer != Answer::Passes).count();
    assert!((100..300).contains(&disturbed), "{disturbed} of 1000");
    let refused = |code: u16| one.iter().filter(move |fate| fate.answer == Answer::Is(code));
    assert!([409, 429, 500].into_iter().all(|code| refused(code).count() > 0));
    assert!(refused(409).chain(refused(429)).all(|fate| !fate.forwarded));
    assert!(refused(500).any(|fate| fate.forwarded), "done, and told as failed");
}
