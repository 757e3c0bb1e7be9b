from __future__ import annotations

from metered import value

from contimg_ingest.metrics import count


def test_a_scan_shows_what_arrived_what_became_final_and_what_was_refused(site, subbands):
    sealed = value("contimg_ingest_observations_total", state="sealed") or 0.0
    refused = value("contimg_ingest_quarantined_total", reason="empty") or 0.0
    for path in subbands:
        site.put(path)
    for name, text in (("2026-01-25T22:00:00_sb00.hdf5", ""), ("notes.txt", "nothing")):
        (site.incoming / name).write_text(text)
        site.touch(site.incoming / name)
    report = site.scan(30)
    report.problems.append("a directory")
    count(report, site.layout)
    assert value("contimg_ingest_observations_total", state="sealed") == sealed + 1
    assert value("contimg_ingest_observations_total", state="incomplete") is not None
    assert value("contimg_ingest_quarantined_total", reason="empty") == refused + 1
    assert value("contimg_ingest_files", kind="raw") == len(subbands) + 1
    assert value("contimg_ingest_files", kind="ignored") == 1
    assert value("contimg_ingest_problems") == 1
    assert value("contimg_ingest_unsealed") == 0
    assert value("contimg_ingest_scanned_timestamp_seconds") == site.now.timestamp()
    assert 0 < value("contimg_ingest_last_file_timestamp_seconds") <= site.now.timestamp()
    assert value("contimg_disk_free_bytes", disk="incoming 1") > 0


def test_no_file_has_no_age(site):
    count(site.scan(), site.layout)
    assert value("contimg_ingest_last_file_timestamp_seconds") is None
    assert value("contimg_ingest_files", kind="raw") == 0
