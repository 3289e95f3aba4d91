//! Envelopes on a stream: put together from any pieces, bounded in bytes and time, with no memory on the sender's word.

use starling::ids::RequestId;
use starling::message::client::{Call, CallBody, Hello, NodeCall};
use starling::message::codec;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;

const PATIENCE: Duration = Duration::from_secs(600);

fn call(id: u64) -> Call {
    Call { id: RequestId(id), body: CallBody::Node(NodeCall::Status) }
}

fn encoded(calls: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in calls {
        codec::encode(&call(id), &mut bytes).unwrap();
    }
    bytes
}

fn reader(bytes_max: usize) -> (DuplexStream, EnvelopeReader<DuplexStream>) {
    let (near, far) = tokio::io::duplex(1024 * 1024);
    (near, EnvelopeReader::new(far, bytes_max, PATIENCE))
}

#[tokio::test]
async fn ten_thousand_coalesced_envelopes_come_out_one_by_one_in_order() {
    let (mut near, mut reader) = reader(1024);
    let writer = tokio::spawn(async move { near.write_all(&encoded(0..10_000)).await.unwrap() });
    for id in 0..10_000 {
        assert_eq!(reader.next::<Call>().await.unwrap(), Some(call(id)));
    }
    writer.await.unwrap();
    assert_eq!(reader.next::<Call>().await.unwrap(), None);
}

#[tokio::test]
async fn envelopes_written_byte_by_byte_are_put_together() {
    let (mut near, mut reader) = reader(1024);
    let writer = tokio::spawn(async move {
        for byte in encoded(0..5) {
            near.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for id in 0..5 {
        assert_eq!(reader.next::<Call>().await.unwrap(), Some(call(id)));
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn an_announcement_of_four_gibibytes_is_an_offence() {
    let (mut near, mut reader) = reader(1024);
    near.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let refused = reader.next::<Call>().await.unwrap_err();
    assert!(matches!(refused, ReadError::Codec(CodecError::Length { .. })) && refused.is_offence(), "{refused:?}");
}

#[tokio::test]
async fn an_envelope_above_the_bound_of_the_stream_is_refused_before_it_is_read() {
    let (mut near, mut reader) = reader(1024);
    near.write_all(&1025_u32.to_be_bytes()).await.unwrap();
    let refused = reader.next::<Call>().await.unwrap_err();
    assert!(matches!(refused, ReadError::Codec(CodecError::TooLong { bytes: 1025, bytes_max: 1024 })), "{refused:?}");
    reader.allow(2048);
    assert!(reader.buffered::<Call>().unwrap().is_none());
}

#[tokio::test]
async fn a_stream_that_ends_within_an_envelope_is_torn() {
    let (mut near, mut reader) = reader(starling::limits::FRAME_BYTES_MAX);
    near.write_all(&u32::try_from(starling::limits::FRAME_BYTES_MAX).unwrap().to_be_bytes()).await.unwrap();
    near.write_all(b"abc").await.unwrap();
    drop(near);
    assert!(matches!(reader.next::<Call>().await.unwrap_err(), ReadError::Torn));
}

#[tokio::test(start_paused = true)]
async fn a_dripping_sender_runs_out_of_time_however_it_drips() {
    let (mut near, far) = tokio::io::duplex(1024);
    let mut reader = EnvelopeReader::new(far, 1024, Duration::from_secs(30));
    let drip = tokio::spawn(async move {
        for byte in encoded([1]) {
            tokio::time::sleep(Duration::from_secs(10)).await;
            if near.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let begun = Instant::now();
    let refused = reader.next::<Call>().await.unwrap_err();
    assert!(matches!(refused, ReadError::TooSlow(_)), "{refused:?}");
    assert_eq!(begun.elapsed().as_secs(), 40, "10 s until the first byte, 30 s for the rest");
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn silence_between_envelopes_is_no_offence() {
    let (mut near, far) = tokio::io::duplex(1024);
    let mut reader = EnvelopeReader::new(far, 1024, Duration::from_secs(30));
    near.write_all(&encoded([1])).await.unwrap();
    assert_eq!(reader.next::<Call>().await.unwrap(), Some(call(1)));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    near.write_all(&encoded([2])).await.unwrap();
    assert_eq!(reader.next::<Call>().await.unwrap(), Some(call(2)));
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let (mut near, mut reader) = reader(1024);
    let bytes = encoded([7]);
    near.write_all(&bytes[..5]).await.unwrap();
    for _ in 0..3 {
        let cancelled = tokio::time::timeout(Duration::from_millis(5), reader.next::<Call>()).await;
        assert!(cancelled.is_err(), "nothing whole has arrived");
    }
    near.write_all(&bytes[5..]).await.unwrap();
    assert_eq!(reader.next::<Call>().await.unwrap(), Some(call(7)));
}

#[tokio::test]
async fn another_kind_of_message_is_an_offence() {
    let (mut near, mut reader) = reader(1024);
    near.write_all(&encoded([7])).await.unwrap();
    let refused = reader.next::<Hello>().await.unwrap_err();
    assert!(matches!(refused, ReadError::Codec(CodecError::Kind { .. })), "{refused:?}");
}
