import HTTPTypes
import OAuth

/// A token request that was written with made-up words in the place of secrets.
enum RequestReport {
    /// - Parameter authorization: what stands in the place of the header of this name.
    static func lines(_ request: EndpointRequest, authorization: String) -> [String] {
        let head = request.head
        var lines = ["\(head.method) \(head.scheme ?? "https")://\(head.authority ?? "")\(head.path ?? "")"]
        for field in head.headerFields {
            lines.append("\(field.name): \(field.name == .authorization ? authorization : field.value)")
        }
        return request.body.isEmpty ? lines : lines + ["", String(decoding: request.body, as: UTF8.self)]
    }
}
