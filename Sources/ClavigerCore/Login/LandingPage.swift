import AgentProtocol

/// The page that the browser lands on: it says what happened and that the tab can be closed. It carries nothing secret,
/// loads nothing, and works without scripts.
struct LandingPage {
    let title: String
    let text: String

    static func loggedIn(_ name: String) -> LandingPage {
        LandingPage(title: "Logged in", text: "claviger keeps “\(name)” logged in from now on. You can close this tab.")
    }

    static func failed(_ problem: Problem) -> LandingPage {
        LandingPage(
            title: "Not logged in",
            text: "\(problem.title.capitalisedFirst). The terminal says what to do. You can close this tab.")
    }

    static let again = LandingPage(
        title: "Already answered",
        text: "This login has been answered before. The terminal says how it ended. You can close this tab.")
    static let notHere = LandingPage(title: "Nothing here", text: "This address waits for a login, and this is not it.")

    var html: String {
        """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <meta name="color-scheme" content="light dark">
        <title>\(Self.escape(title)) · claviger</title>
        <style>
        body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto 0; padding: 0 1.5rem; }
        h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 .5rem; }
        footer { margin-top: 3rem; opacity: .55; font-size: .9rem; }
        </style>
        <h1>\(Self.escape(title))</h1>
        <p>\(Self.escape(text))</p>
        <footer>claviger</footer>
        </html>
        """
    }

    private static func escape(_ text: String) -> String {
        Terminal.plain(text).replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }
}

extension String {
    fileprivate var capitalisedFirst: String { prefix(1).uppercased() + dropFirst() }
}
