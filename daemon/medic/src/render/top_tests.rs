//! The picture at the sizes that terminals have, and below.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use hostmedic_serve::testing;
use ratatui::{Terminal, backend::TestBackend};

use super::*;

fn screen() -> Screen {
    Screen {
        top: Some(testing::top()),
        probes: Some(testing::probes()),
        ..Screen::default()
    }
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| draw(screen, frame.area(), frame.buffer_mut()))
        .unwrap();
    text(terminal.backend().buffer())
}

#[test]
fn pictures_of_three_sizes() {
    let mut pictures = String::new();
    for (width, height) in [(40, 10), (80, 24), (132, 30)] {
        let picture = drawn(&screen(), width, height);
        assert_eq!(picture.lines().count(), usize::from(height));
        pictures += &format!("--- {width}x{height}\n{picture}");
    }
    let expected = include_str!("snapshots/top.txt");
    assert_eq!(pictures, expected, "\n{pictures}");
}

#[test]
fn every_size_draws() {
    let mut many = screen();
    if let Some(top) = &mut many.top {
        top.units = vec![top.units[0].clone(); 60];
        top.disk_errors = vec![top.disk_errors[0].clone(); 60];
    }
    for screen in [many, Screen::default()] {
        for width in [1, 39, 40, 41, 60, 109, 110, 200] {
            for height in [1, 9, 10, 11, 12, 17, 24, 60] {
                let picture = drawn(&screen, width, height);
                let small = width < 40 || height < 10;
                assert_eq!(
                    picture.contains("DISK ERRORS"),
                    screen.top.is_some() && !small,
                    "{width}x{height}\n{picture}"
                );
            }
        }
    }
}

#[test]
fn a_lost_daemon_is_shown_over_the_old_picture() {
    let mut lost = screen();
    lost.trouble = Some("nobody listens on /run/x.sock\u{1b}[2J".to_owned());
    let picture = drawn(&lost, 80, 24);
    assert!(picture.contains("NO NEW PICTURE: nobody listens on /run/x.sock\\u{1b}[2J"));
    assert!(picture.contains("web.service"));
}

#[test]
fn colour_only_where_it_is_wanted() {
    let styles = |colour| {
        let mut screen = screen();
        screen.style.colour = colour;
        let area = Rect::new(0, 0, 80, 24);
        let mut buffer = Buffer::empty(area);
        draw(&screen, area, &mut buffer);
        let cells = buffer.content().iter();
        cells.filter(|cell| **cell != plain_cell(cell)).count()
    };
    assert_eq!(styles(false), 0);
    assert!(styles(true) > 0);
}

/// The same character without a look.
fn plain_cell(cell: &ratatui::buffer::Cell) -> ratatui::buffer::Cell {
    let mut plain = ratatui::buffer::Cell::default();
    plain.set_symbol(cell.symbol());
    plain
}

#[test]
fn the_plain_picture_hides_nothing() {
    for width in [40, 100, 132] {
        let text = plain(&screen(), width);
        assert!(!text.contains("more"), "{text}");
        assert!(text.contains("nvme0n1"), "{text}");
        assert!(text.contains("22.5 MiB"), "{text}");
    }
}
