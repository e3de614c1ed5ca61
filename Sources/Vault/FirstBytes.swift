/// What files begin with, so that one which was taken for the other is called what it is.
enum FirstBytes {
    static let vault = Array("claviger".utf8)
    static let keyFile = Array("claviger-key-1 ".utf8)
}
