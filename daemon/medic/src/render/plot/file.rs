//! The same picture in a file: SVG for documents, PNG for everything else.
//!
//! Both are drawn by the same lines of code. The letters come with the program, because a server
//! seldom has a font: Noto Sans (Apache-2.0), from the crate `ttf-noto-sans`. An SVG only names a
//! font; there the letters tell how much room a text needs.

use std::{error::Error, path::Path};

use hostmedic_model::view::SeriesView;
use plotters::{
    coord::Shift,
    prelude::*,
    style::{FontStyle, register_font},
};

use super::{EMPTY, Picture, number, utc};

/// Size of the picture of one series, in pixels.
const PIXELS: (u32, u32) = (960, 420);
/// Series in one file, one below the other.
pub(crate) const MOST: usize = 12;
/// The font as an SVG names it.
const FONT: &str = "sans-serif";
const HEAD_PIXELS: i32 = 20;
const LABEL_PIXELS: i32 = 16;
/// Half a label of the time axis: one may stand below the axis's very end.
const RIGHT_PIXELS: i32 = 64;
/// Light lines between two labels.
const LIGHT_LINES: usize = 4;
/// Bytes of a pixel: red, green, blue.
const PIXEL_BYTES: usize = 3;

/// What a picture can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Svg,
    Png,
}

impl Format {
    /// Every ending there is, for people.
    pub(crate) const ENDINGS: &str = ".svg or .png";

    /// The one that the file's ending asks for.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

/// The file's content: the series one below the other.
///
/// # Errors
/// There is nothing to draw, or what the drawing library says.
pub(crate) fn bytes(views: &[SeriesView], format: Format) -> Result<Vec<u8>, String> {
    let drawn: Vec<_> = views
        .iter()
        .filter_map(|view| Some((view, Picture::of(view)?)))
        .collect();
    let rows = u32::try_from(drawn.len()).map_err(|error| error.to_string())?;
    if rows == 0 {
        return Err(EMPTY.trim_end().to_owned());
    }
    register_font(FONT, FontStyle::Normal, ttf_noto_sans::REGULAR)
        .map_err(|_| "the font that comes with medic cannot be read".to_owned())?;
    let size = (PIXELS.0, PIXELS.1 * rows);
    let made = match format {
        Format::Svg => svg(&drawn, size),
        Format::Png => png(&drawn, size),
    };
    made.map_err(|error| error.to_string())
}

type Drawn<'a> = [(&'a SeriesView, Picture)];

fn svg(drawn: &Drawn<'_>, size: (u32, u32)) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut text = String::new();
    all(
        drawn,
        &SVGBackend::with_string(&mut text, size).into_drawing_area(),
    )?;
    Ok(text.into_bytes())
}

fn png(drawn: &Drawn<'_>, size: (u32, u32)) -> Result<Vec<u8>, Box<dyn Error>> {
    let (width, height) = size;
    let mut pixels = vec![0; width as usize * height as usize * PIXEL_BYTES];
    all(
        drawn,
        &BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area(),
    )?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn all<D>(drawn: &Drawn<'_>, root: &DrawingArea<D, Shift>) -> Result<(), Box<dyn Error>>
where
    D: DrawingBackend,
    D::ErrorType: 'static,
{
    root.fill(&WHITE)?;
    let areas = root.split_evenly((drawn.len(), 1));
    for ((view, picture), area) in drawn.iter().zip(&areas) {
        one(view, picture, area)?;
    }
    root.present()?;
    Ok(())
}

fn one<D>(
    view: &SeriesView,
    picture: &Picture,
    area: &DrawingArea<D, Shift>,
) -> Result<(), Box<dyn Error>>
where
    D: DrawingBackend,
    D::ErrorType: 'static,
{
    let measure = view.baseline.series.measure;
    let mut chart = ChartBuilder::on(area)
        .caption(view.baseline.series.to_string(), (FONT, HEAD_PIXELS))
        .margin(10)
        .margin_right(RIGHT_PIXELS)
        .x_label_area_size(30)
        .y_label_area_size(80)
        .build_cartesian_2d(picture.x.clone(), picture.y.clone())?;
    chart
        .configure_mesh()
        .x_labels(5)
        .max_light_lines(LIGHT_LINES)
        .label_style((FONT, LABEL_PIXELS))
        .x_label_formatter(&|s| utc((*s * 1000.0) as i64))
        .y_label_formatter(&|value| number(measure, *value))
        .draw()?;
    let [low, high] = picture.band;
    let corners = [(picture.x.start, low), (picture.x.end, high)];
    chart.draw_series([Rectangle::new(corners, GREEN.mix(0.15).filled())])?;
    chart.draw_series(LineSeries::new(picture.points.iter().copied(), &BLUE))?;
    chart.draw_series(
        picture
            .marks
            .iter()
            .map(|mark| Circle::new(*mark, 4, RED.filled())),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::{collections::HashMap, io::Cursor};

    use hostmedic_serve::testing;

    use super::*;

    /// Width, height, and how often each colour comes.
    fn decoded(bytes: &[u8]) -> (u32, u32, HashMap<[u8; 3], usize>) {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        let mut colours = HashMap::new();
        for pixel in pixels.chunks_exact(PIXEL_BYTES) {
            *colours.entry([pixel[0], pixel[1], pixel[2]]).or_insert(0) += 1;
        }
        (info.width, info.height, colours)
    }

    #[test]
    fn an_svg_has_line_marks_and_name() {
        let view = testing::series();
        let name = view.baseline.series.to_string();
        let svg = String::from_utf8(bytes(&[view], Format::Svg).unwrap()).unwrap();
        assert!(svg.contains("<svg") && svg.contains("<polyline") && svg.contains("<circle"));
        assert!(svg.contains(&name));
    }

    #[test]
    fn a_png_has_paper_letters_line_band_and_marks() {
        let (width, height, colours) = decoded(&bytes(&[testing::series()], Format::Png).unwrap());
        assert_eq!((width, height), PIXELS);
        let count = |colour: [u8; 3]| colours.get(&colour).copied().unwrap_or_default();
        let paper = count([255; 3]);
        let whole = width as usize * height as usize;
        assert!(whole / 2 < paper && paper < whole, "{paper} of {whole}");
        // Letters alone are of every grey: axes and meshes have a few fixed ones.
        let is_grey = |colour: &&[u8; 3]| colour[0] == colour[1] && colour[1] == colour[2];
        let greys = colours.keys().filter(is_grey).count();
        assert!(greys > 50, "{greys} greys are no letters");
        assert!(count([255, 0, 0]) > 10, "no mark");
        let is_blue = |colour: &&[u8; 3]| colour[2] > 200 && colour[0] < 100;
        assert!(colours.keys().any(|colour| is_blue(&colour)), "no line");
        let is_pale_green = |colour: &&[u8; 3]| colour[1] == 255 && colour[0] == colour[2];
        let band: usize = colours
            .iter()
            .filter(|(colour, _)| is_pale_green(colour) && colour[0] < 255)
            .map(|(_, count)| count)
            .sum();
        assert!(band > 1000, "{band} pixels are no band");
    }

    #[test]
    fn several_series_stand_one_below_the_other() {
        let views = [testing::series(), testing::series()];
        let (width, height, _) = decoded(&bytes(&views, Format::Png).unwrap());
        assert_eq!((width, height), (PIXELS.0, 2 * PIXELS.1));
    }

    #[test]
    fn nothing_is_no_picture() {
        let view = SeriesView {
            points: Vec::new(),
            ..testing::series()
        };
        assert!(bytes(&[view], Format::Png).is_err());
        assert!(bytes(&[], Format::Svg).is_err());
    }

    #[test]
    fn the_ending_says_the_format() {
        let of = |file: &str| Format::of(Path::new(file));
        assert_eq!(of("/tmp/var.svg"), Some(Format::Svg));
        assert_eq!(of("var.png"), Some(Format::Png));
        assert_eq!((of("var.jpg"), of("png"), of(".png")), (None, None, None));
    }
}
