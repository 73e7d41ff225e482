//! What a person does with a page.

use fantoccini::Locator;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;

use super::Browser;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// To the next thing that takes keys.
    Tab,
    /// Do it.
    Enter,
    /// Leave it.
    Escape,
}

impl Browser {
    /// Clicks the first thing that the selector fits.
    pub async fn click(&self, css: &str) {
        self.click_on(Locator::Css(css), css).await;
    }

    /// Clicks the first link or button that reads so.
    pub async fn press(&self, label: &str) {
        assert!(!label.contains('\''), "labels stand between these");
        let path = format!("//*[self::a or self::button][normalize-space()='{label}']");
        self.click_on(Locator::XPath(&path), label).await;
    }

    /// Writes into the first field that the selector fits, in place of what is there.
    pub async fn write(&self, css: &str, text: &str) {
        let what = format!("to write {text:?} into {css}");
        self.patiently(&what, async || {
            let field = self.visible(Locator::Css(css)).await?;
            field.clear().await.ok()?;
            field.send_keys(text).await.ok()
        })
        .await;
    }

    /// Chooses the value in the first list that the selector fits.
    pub async fn choose(&self, css: &str, value: &str) {
        let what = format!("to choose {value:?} in {css}");
        self.patiently(&what, async || {
            let list = self.visible(Locator::Css(css)).await?;
            list.select_by_value(value).await.ok()
        })
        .await;
    }

    /// Presses a key and lets it go.
    pub async fn key(&self, key: Key) {
        let value = char::from(fantoccini::key::Key::from(key));
        let down_up = KeyActions::new("keys".to_owned()).then(KeyAction::Down { value }).then(KeyAction::Up { value });
        self.client.perform_actions(down_up).await.expect("a page takes keys");
    }

    /// Presses the same key until the thing that has the focus reads so, at most so many times.
    pub async fn key_until(&self, key: Key, times_max: usize, label: &str) {
        for _ in 0..times_max {
            self.key(key).await;
            if self.focused().await == label {
                return;
            }
        }
        panic!("{label:?} is not reached with {times_max} times {key:?}; the focus is at {:?}", self.focused().await);
    }

    /// Reads the thing that has the focus.
    pub async fn focused(&self) -> String {
        let text = "return document.activeElement.innerText.trim().replace(/\\s+/g, ' ')";
        self.run(text, &[]).await.as_str().unwrap_or_default().to_owned()
    }

    async fn click_on(&self, locator: Locator<'_>, what: &str) {
        // Where a person would scroll it to: at the edge it may lie under the bar of the page.
        const TO_THE_MIDDLE: &str = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        let what = format!("to click {what}");
        self.patiently(&what, async || {
            let element = self.visible(locator).await?;
            self.client.execute(TO_THE_MIDDLE, vec![serde_json::to_value(&element).ok()?]).await.ok()?;
            element.click().await.ok()
        })
        .await;
    }

    /// The first one that is shown. None while there is none, or while the page is just changing.
    async fn visible(&self, locator: Locator<'_>) -> Option<Element> {
        for element in self.client.find_all(locator).await.ok()? {
            if element.is_displayed().await.ok()? {
                return Some(element);
            }
        }
        None
    }
}

impl From<Key> for fantoccini::key::Key {
    fn from(key: Key) -> Self {
        match key {
            Key::Tab => Self::Tab,
            Key::Enter => Self::Enter,
            Key::Escape => Self::Escape,
        }
    }
}
