//! Scripted peers.

use ipc_proto::message::HostOp;

use super::*;

const GRACE: Duration = Duration::from_millis(100);

fn call() -> ToWorker<'static> {
    ToWorker::Call {
        method: "m",
        payload: b"p",
        tenant: "",
        user: "",
    }
}

fn feed(mux: &mut Mux, message: &FromWorker<'_>, call: u64) -> Result<(), ProtocolError> {
    let mut bytes = Vec::new();
    encode(message, call, None, &mut bytes).unwrap();
    let mut decoder = WorkerDecoder::new();
    assert_eq!(decoder.push(&bytes), bytes.len());
    let frame = decoder.next_frame().unwrap().unwrap();
    let incoming = mux.incoming(&frame, Instant::now())?;
    if let Incoming::Answered {
        delivery: Some(delivery),
        ..
    } = incoming
    {
        delivery.deliver();
    }
    Ok(())
}

fn returned(payload: &[u8]) -> FromWorker<'_> {
    FromWorker::Reply {
        status: 0,
        verdict: 0,
        schema: 0,
        payload,
    }
}

#[test]
fn replies_out_of_order_reach_their_callers() {
    let mut mux = Mux::default();
    let now = Instant::now();
    let (first, mut one) = mux.open(&call(), None, now).unwrap();
    let (second, mut two) = mux.open(&call(), None, now).unwrap();
    feed(&mut mux, &returned(b"2"), second).unwrap();
    feed(&mut mux, &returned(b"1"), first).unwrap();
    for (answer, wanted) in [(&mut one, b"1"), (&mut two, b"2")] {
        let reply = answer.try_recv().unwrap().unwrap();
        assert!(matches!(reply, Reply::Returned { payload, .. } if payload == wanted));
    }
}

#[test]
fn unsolicited_duplicate_and_misfit_answers_are_violations() {
    let mut mux = Mux::default();
    assert!(feed(&mut mux, &returned(b""), 1).is_err());
    let (call, _answer) = mux.open(&call(), None, Instant::now()).unwrap();
    feed(&mut mux, &returned(b""), call).unwrap();
    assert!(feed(&mut mux, &returned(b""), call).is_err());
    let (call, _answer) = mux.open(&self::call(), None, Instant::now()).unwrap();
    assert!(feed(&mut mux, &FromWorker::Created, call).is_err());
    assert!(feed(&mut mux, &FromWorker::Ready { measured: &[] }, 0).is_err());
    let op = HostOp::ContextGet { key: "k" };
    assert!(feed(&mut mux, &FromWorker::HostCall { seq: 1, op }, 99).is_err());
}

#[test]
fn late_reply_to_a_cancelled_call_is_no_violation() {
    let mut mux = Mux::default();
    let (call, _answer) = mux.open(&call(), None, Instant::now()).unwrap();
    mux.cancel(call, Instant::now());
    feed(&mut mux, &returned(b""), call).unwrap();
    assert!(feed(&mut mux, &returned(b""), call).is_err());
}

#[test]
fn missed_deadline_is_told_at_once_and_stuck_after_the_grace() {
    let mut mux = Mux::default();
    let now = Instant::now();
    let (call, mut answer) = mux.open(&call(), Some(GRACE), now).unwrap();
    assert_eq!(mux.overdue(now, GRACE), Overdue::default());
    assert_eq!(
        mux.overdue(now + GRACE, GRACE),
        Overdue {
            missed: vec![call],
            stuck: None
        }
    );
    assert_eq!(answer.try_recv().unwrap(), Err(Unanswered::Deadline));
    assert_eq!(mux.overdue(now + GRACE * 2, GRACE).stuck, Some(call));
}

#[test]
fn closing_tells_everyone_and_refuses_more() {
    let mut mux = Mux::default();
    let (_, mut answer) = mux.open(&call(), None, Instant::now()).unwrap();
    mux.close();
    assert_eq!(answer.try_recv().unwrap(), Err(Unanswered::Closed));
    assert!(matches!(
        mux.open(&call(), None, Instant::now()),
        Err(OpenError::Closed)
    ));
}

#[test]
fn calls_in_flight_are_bounded() {
    let mut mux = Mux::default();
    let now = Instant::now();
    let answers: Vec<_> = (0..MAX_QUEUED_REQUESTS)
        .map(|_| mux.open(&call(), None, now).unwrap())
        .collect();
    assert!(matches!(mux.open(&call(), None, now), Err(OpenError::Busy)));
    assert_eq!(mux.in_flight().len(), answers.len());
}

#[test]
fn grace_runs_from_the_cancellation() {
    let mut mux = Mux::default();
    let now = Instant::now();
    let (call, _answer) = mux.open(&call(), Some(GRACE), now).unwrap();

    // The supervisor was suspended far beyond deadline and grace.
    let late = now + GRACE * 50;
    assert_eq!(mux.overdue(late, GRACE).stuck, None);

    let overdue = mux.overdue(late + GRACE, GRACE);
    assert_eq!(overdue.stuck, Some(call));
    assert_eq!(mux.overdue(late + GRACE * 2, GRACE), Overdue::default());
}

#[test]
fn endless_deadline_is_none() {
    let mut mux = Mux::default();
    let now = Instant::now();
    mux.open(&call(), Some(Duration::MAX), now).unwrap();
    assert_eq!(mux.next_deadline(GRACE), None);
}
