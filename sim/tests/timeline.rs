//! The page of a run in a real browser: Chromium without a window, driven through its DevTools protocol with real mouse
//! and key events.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use quintain_sim::plan::{Plan, Profile};
use quintain_sim::runner::{self, Options};
use quintain_sim::timeline::page;
use quintain_sim::trace::{Entry, Recorder};
use serde_json::{Value, json};

/// For whatever the page does; a run under load is slow.
const PATIENCE: Duration = Duration::from_secs(20);
const WIDTH: u32 = 1_500;
const HEIGHT: u32 = 900;

fn write_page(plan: &Plan, name: &str) -> PathBuf {
    write_page_of(plan, name, 0)
}

/// The page of a run that is repeated until it has so many events.
fn write_page_of(plan: &Plan, name: &str, events: usize) -> PathBuf {
    let (sender, entries) = mpsc::channel();
    let watch = Recorder::new(plan, move |entry| sender.send(entry).expect("it is read below"));
    let verdict = runner::run(plan, Options { watch: Some(Box::new(watch)), ..Options::default() });
    let once: Vec<Entry> = entries.try_iter().collect();
    let mut entries = once.clone();
    while entries.iter().filter(|entry| entry.is_change()).count() < events {
        let (seq, at_us) = (entries.len() as u64, entries.last().expect("a run has a begin").at_us + 1);
        let later = |earlier: Option<u64>| earlier.map(|earlier| earlier + seq);
        entries.extend(once.iter().map(|entry| Entry {
            seq: entry.seq + seq,
            at_us: entry.at_us + at_us,
            cause: later(entry.cause),
            began: later(entry.began),
            op: later(entry.op),
            ..entry.clone()
        }));
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, page(plan, &verdict, &entries)).expect("a directory of our own");
    path
}

#[test]
fn page_is_whole_in_itself() {
    let path = write_page(&Plan::generate(3, Profile::Lite), "whole.html");
    let page = std::fs::read_to_string(path).expect("it was written");
    for outside in ["http:", "https:", "src=", "@import", "url(", "fetch("] {
        assert!(!page.contains(outside), "the page asks for something: {outside}");
    }
    let (before, data) = page.split_once(r#"type="application/json">"#).expect("it has data");
    let (data, _) = data.split_once("</script>").expect("they end");
    let data: Value = serde_json::from_str(data).expect("they are JSON");
    assert!(data["events"].as_array().is_some_and(|events| events.len() > 1_000));
    assert!(before.contains("<canvas"));
}

/// A browser with one page.
struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Value,
    number: u64,
    /// What the page complained of.
    complaints: Vec<String>,
}

impl Browser {
    fn open(path: &Path) -> Self {
        let profile = path.with_extension("chromium");
        let flags = "--headless=new --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe";
        // The browser reads its commands from descriptor 3 and answers on descriptor 4.
        let script =
            format!("exec chromium {flags} --user-data-dir=\"$0\" about:blank 3<&0 4>&1 0</dev/null 1>/dev/null");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(profile).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("there is a shell");
        let (to, from) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        let (from, complaints) = (BufReader::new(from), Vec::new());
        let mut browser = Self { process, to, from, session: Value::Null, number: 0, complaints };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].clone();
        for domain in ["Runtime", "Log", "Page"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let screen = json!({"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false});
        browser.call("Emulation.setDeviceMetricsOverride", screen);
        browser.call("Page.navigate", json!({"url": format!("file://{}", path.display())}));
        browser.wait_for("!!window.timeline && document.getElementById('range').textContent !== ''");
        browser
    }

    /// Calls a method of the DevTools protocol.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": params});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        write!(self.to, "{message}\0").and_then(|()| self.to.flush()).expect("chromium is installed and runs");
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes).expect("the browser runs");
            assert_eq!(bytes.pop(), Some(0), "the browser has gone");
            let answer: Value = serde_json::from_slice(&bytes).expect("it speaks JSON");
            match answer["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => {
                    self.complaints.push(answer["params"].to_string());
                }
                _ if answer["id"] == self.number => {
                    assert!(answer["error"].is_null(), "{method}: {answer}");
                    return answer["result"].clone();
                }
                _ => {}
            }
        }
    }

    /// What a JavaScript expression comes to.
    fn value(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    fn wait_for(&mut self, condition: &str) {
        let start = Instant::now();
        while self.value(condition) != true {
            assert!(start.elapsed() < PATIENCE, "never: {condition}; {:?}", self.complaints);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64), more: &Value) {
        let mut event = json!({"type": kind, "x": x, "y": y});
        for (name, value) in more.as_object().expect("fields") {
            event[name] = value.clone();
        }
        self.call("Input.dispatchMouseEvent", event);
    }

    fn click(&mut self, at: (f64, f64)) {
        self.mouse("mouseMoved", at, &json!({}));
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, at, &json!({"button": "left", "clickCount": 1}));
        }
    }

    fn key(&mut self, key: &str) {
        let text = if key.len() == 1 { key } else { "" };
        self.call("Input.dispatchKeyEvent", json!({"type": "keyDown", "key": key, "text": text}));
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
    }

    /// Where the event is on the screen.
    fn locate(&mut self, event: u64) -> (f64, f64) {
        let at = self.value(&format!("timeline.locate({event})"));
        (at["x"].as_f64().expect("it is drawn"), at["y"].as_f64().expect("it is drawn"))
    }

    /// The share of time that is seen, in microseconds of the drawing.
    fn span(&mut self) -> f64 {
        self.value("timeline.view.to - timeline.view.from").as_f64().expect("a number")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
#[ignore = "needs chromium"]
fn timeline_opens_at_the_failure_and_is_looked_through() {
    let plan = Plan { planted: Some("burst-too-long".to_owned()), ..Plan::generate(2, Profile::Lite) };
    let mut browser = Browser::open(&write_page(&plan, "failure.html"));

    // The failing event is in the middle, and selected with its command.
    let failure = browser.value("timeline.events.find(e => e.kind === 'failure').index").as_u64().expect("one fails");
    let chart = browser.value("document.getElementById('chart').getBoundingClientRect().width").as_f64().unwrap();
    let (x, _) = browser.locate(failure);
    assert!((x - (128.0 + (chart - 128.0) / 2.0)).abs() < 3.0, "the failure is at {x} of {chart}");
    assert!(browser.value("timeline.selected().length").as_u64().is_some_and(|count| count > 5));
    browser.wait_for("document.getElementById('about').textContent.includes('MaxBurstLength')");
    browser.key("Escape");
    browser.wait_for("timeline.selected() === null && document.getElementById('detail').hidden");

    // The wheel zooms where the pointer is, keys too.
    let command = browser
        .value("timeline.events.find(e => e.kind === 'task-started' && e.op !== null && e.initiator === 0).index");
    let command = command.as_u64().expect("a worker took one");
    browser.value(&format!("timeline.go({command}, 800); timeline.view.from += 150; timeline.view.to += 150; 0"));
    let (before, pointer) = (browser.span(), browser.locate(command));
    browser.mouse("mouseWheel", pointer, &json!({"deltaX": 0, "deltaY": -400}));
    let after = browser.span();
    assert!(after < before * 0.7, "{before} to {after}");
    let (x, _) = browser.locate(command);
    assert!((x - pointer.0).abs() < 2.0, "what is under the pointer stays there: {pointer:?} to {x}");
    browser.key("s");
    assert!(browser.span() > after * 1.2);

    // Dragging pans.
    let (x, y) = browser.locate(command);
    browser.mouse("mousePressed", (x, y), &json!({"button": "left", "clickCount": 1}));
    browser.mouse("mouseMoved", (x - 40.0, y), &json!({"buttons": 1}));
    browser.mouse("mouseMoved", (x - 80.0, y), &json!({"buttons": 1}));
    let from = browser.locate(command).0;
    browser.mouse("mouseReleased", (x - 80.0, y), &json!({"button": "left", "clickCount": 1}));
    assert!((from - (x - 80.0)).abs() < 2.0, "{from} after a drag from {x} by 80");
    assert_eq!(browser.value("timeline.selected()"), Value::Null, "a drag is no click");

    // The pointer shows what is there, and a click selects all that belongs to it.
    browser.value(&format!("timeline.go({command}, 400)"));
    let at = browser.locate(command);
    browser.mouse("mouseMoved", at, &json!({}));
    browser.wait_for("getComputedStyle(document.getElementById('tip')).display === 'block'");
    let op = browser.value(&format!("timeline.events[{command}].op"));
    browser.wait_for(&format!("document.getElementById('tip').textContent.includes('op {op}')"));
    browser.click(at);
    browser.wait_for("!document.getElementById('detail').hidden");
    let belongs = format!("timeline.selected().filter(i => timeline.events[i].op === {op}).length");
    let all = format!("timeline.events.filter(e => e.op === {op}).length");
    let (belongs, all) = (browser.value(&belongs), browser.value(&all));
    assert!(belongs == all && all.as_u64().is_some_and(|all| all > 6), "{belongs} of {all}");
    assert_eq!(
        browser.value("document.querySelectorAll('#events li').length"),
        browser.value("timeline.selected().length")
    );

    // A PDU's line can be clicked at its half.
    let pdu =
        browser.value("timeline.events.find(e => e.kind === 'target-received' && e.pdu === 'SCSI Command').index");
    let received = pdu.as_u64().expect("one came");
    let sent = browser.value(&format!("timeline.events[{received}].cause")).as_u64().expect("it was sent");
    browser.value(&format!("timeline.go({received}, 300)"));
    let (one, other) = (browser.locate(sent), browser.locate(received));
    browser.click(((one.0 + other.0) / 2.0, (one.1 + other.1) / 2.0));
    browser.wait_for(&format!("timeline.selected() !== null && timeline.selected().includes({received})"));

    // A filter counts what it lets through, and leads from one to the next.
    browser.key("/");
    browser.wait_for("document.activeElement.id === 'search'");
    browser.call("Input.insertText", json!({"text": format!("op={op} kind=task-started")}));
    browser.wait_for("document.getElementById('matches').textContent === '1 events'");
    browser.key("Enter");
    browser.wait_for("document.getElementById('matches').textContent === '1 of 1'");
    let chart = browser.value("document.getElementById('chart').getBoundingClientRect().width").as_f64().unwrap();
    let (x, _) = browser.locate(command);
    assert!((x - (128.0 + (chart - 128.0) / 2.0)).abs() < 3.0, "the match is at {x} of {chart}");
    browser.key("Escape");
    browser.wait_for("document.getElementById('matches').textContent === ''");

    // Folding leaves what is in the middle there.
    let was = browser.locate(command).0;
    browser.key("g");
    browser.wait_for("timeline.folded() === false");
    assert!((browser.locate(command).0 - was).abs() < 3.0);
    browser.key("0");
    browser.key("t");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium"]
fn big_run_is_drawn_in_no_time_and_its_lanes_open() {
    let plan = Plan::generate(12, Profile::Full);
    let mut browser = Browser::open(&write_page_of(&plan, "big.html", 50_000));
    let events = browser.value("timeline.events.length").as_u64().expect("a number");
    assert!(events >= 50_000, "{events}");
    assert_eq!(browser.value("document.getElementById('failures').textContent"), "passed");
    let expression = "(() => { const start = performance.now(); for (let i = 0; i < 10; i++) timeline.draw(); \
                      return (performance.now() - start) / 10; })()";
    let all_ms = browser.value(expression).as_f64().expect("a number");
    assert!(all_ms < 250.0, "a frame takes {all_ms} ms");

    // A lane whose rows are pressed together is opened at its name.
    browser.value("lane = timeline.lanes.find(lane => lane.most && lane.rows.length > lane.most); 0");
    let y = browser.value("document.getElementById('chart').getBoundingClientRect().top + 24 + lane.y + 8");
    browser.click((60.0, y.as_f64().expect("a number")));
    browser.wait_for("lane.wide && lane.step === 10");
    assert_eq!(browser.complaints, Vec::<String>::new());
}
